"""Pages of the tenants' portal."""

from __future__ import annotations

from django.urls import path

from .views import home, styleguide

app_name = "web"
urlpatterns = [
    path("", home.index, name="home"),
    path("theme", home.theme, name="theme"),
    path("style-guide", styleguide.styleguide, name="styleguide"),
]
