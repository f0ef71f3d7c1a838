"""Limits in front of an application: `asgi` for FastAPI and Starlette, `wsgi` for Flask, Django and others."""

from .asgi import AureliusMiddleware
from .caller import Caller
from .routes import Route
from .wsgi import AureliusWSGIMiddleware

__all__ = ["AureliusMiddleware", "AureliusWSGIMiddleware", "Caller", "Route"]
