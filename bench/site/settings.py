"""Settings of the benchmark's site: nothing but what the limiter under test needs."""

from __future__ import annotations

import os

MODE = os.environ.get("BENCH_MODE", "bare")
SECRET_KEY = "benchmark"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "bench.site.urls"
USE_TZ = True
LOGGING_CONFIG = None
DATABASES: dict[str, dict[str, str]] = {}
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
if MODE == "ours":
    INSTALLED_APPS += ["django.contrib.postgres", "pgtrigger", "tenants"]
    AUTH_USER_MODEL = "tenants.User"
    DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "never-asked"}}
elif MODE.startswith("drf"):
    INSTALLED_APPS += ["rest_framework"]

MIDDLEWARE = {
    "ours": ["tenants.enforcement.middleware.EnforcementMiddleware"],
    "limits x3": ["bench.site.peers.LimitsMiddleware"],
    "limits x3 + headers": ["bench.site.peers.LimitsMiddleware"],
}.get(MODE, [])

LIMITS = (60, 1_000, 10_000) if os.environ.get("BENCH_TIER") == "standard" else (6_000_000, 100_000_000, 400_000_000)
REDIS_URL = os.environ.get("BENCH_REDIS_URL", "")
CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": REDIS_URL}}
RATELIMIT_USE_CACHE = "default"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "UNAUTHENTICATED_USER": None,
}

# What our middleware reads.
PORTAL_ENV = "test"
SITE_URL = "http://127.0.0.1"
TRUSTED_PROXY_DEPTH = 0
ENFORCEMENT_REDIS_URL = REDIS_URL
ENFORCEMENT_TIMEOUT_MS = 2_000
ENFORCEMENT_FAILURE_POLICY = "deny"
ENFORCEMENT_FAILURE_POLICIES: dict[str, str] = {}
ENFORCEMENT_BOUNDED_PER_MINUTE = 0
ENFORCEMENT_ROUTE_CLASSES = {"default": 1, "portal": 1}
ENFORCEMENT_FLUSH_SECONDS = 0
API_KEY_PEPPER = os.environ.get("BENCH_PEPPER", "")
