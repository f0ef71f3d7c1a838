"""Settings of every process, from the environment alone. Sections in the order in which an operator meets them.

`PORTAL_ENV` is `production` (default, strict), `demo` or `test`; the last two only relax what a private machine needs relaxed.
"""

from __future__ import annotations

import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from portal import env, logs
from portal.people import providers as identity_providers
from portal.telemetry import config as telemetry
from tenants import exposition
from tenants.database.impatient import ImpatientConnection

BASE_DIR = Path(__file__).resolve().parent.parent

# --- What this installation is -------------------------------------------------------------------------------------------------
env.collect()
PORTAL_ENV = env.choice("PORTAL_ENV", "production", ("production", "demo", "test"))
PRODUCTION = PORTAL_ENV == "production"
DEBUG = env.boolean("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.items("SECRET_KEY_FALLBACKS")
SITE_URL = env.text("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
SITE_NAME = env.text("SITE_NAME", "Aurelius Portal")
ALLOWED_HOSTS = env.items("ALLOWED_HOSTS", "" if PRODUCTION else "*")
CSRF_TRUSTED_ORIGINS = env.items("CSRF_TRUSTED_ORIGINS")
NODE_NAME = env.text("NODE_NAME", socket.gethostname())
TRUSTED_PROXY_DEPTH = env.integer("TRUSTED_PROXY_DEPTH", 0, minimum=0, maximum=10)

# --- Applications --------------------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "portal.apps.PortalConfig",
    "metering.apps.MeteringConfig",
    "tenants.apps.TenantsConfig",
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.inlines",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "pgtrigger",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "django_htmx",
    "django_prometheus",
    "django_structlog",
    "csp",
]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "portal.telemetry.middleware.InProgress",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "csp.middleware.CSPMiddleware",
    "portal.middleware.AdminContentSecurityPolicy",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "tenants.enforcement.middleware.EnforcementMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "portal.web.writing.display.ReadersFormats",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.people.second_factor.OperatorsNeedSecondFactor",
    "portal.visiting.NothingIsWrittenOnAVisit",
    "django_htmx.middleware.HtmxMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "portal.web.frame.context.site",
                "portal.web.frame.account_frame.context",
            ],
        },
    }
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

# --- Data stores ---------------------------------------------------------------------------------------------------------------
DATABASES: dict[str, Any] = {"default": env.database("DATABASE_URL")}
DATABASES["default"].update(
    ENGINE="django_prometheus.db.backends.postgresql",
    CONN_HEALTH_CHECKS=True,
    DISABLE_SERVER_SIDE_CURSORS=True,  # PgBouncer in transaction mode
)
DATABASES["default"].setdefault("OPTIONS", {})
_STATEMENT_TIMEOUT = env.integer("DATABASE_STATEMENT_TIMEOUT_MS", 30000, minimum=100)
DATABASES["default"]["OPTIONS"].update(
    pool=False
    if PORTAL_ENV == "test"
    else {"min_size": 1, "max_size": env.integer("DATABASE_POOL_SIZE", 8, minimum=1, maximum=200), "timeout": 3},
    connect_timeout=3,
)
DATABASE_POOLER = env.choice("DATABASE_POOLER", "none", ("none", "transaction"))
if DATABASE_POOLER == "transaction":
    # Behind PgBouncer a session is lent for one transaction: nothing may be kept in it. The time limits belong to the role then.
    DATABASES["default"]["OPTIONS"]["prepare_threshold"] = None
else:
    DATABASES["default"]["OPTIONS"]["options"] = (
        f"-c statement_timeout={_STATEMENT_TIMEOUT} -c lock_timeout=5000 -c idle_in_transaction_session_timeout=60000"
    )
# Heavy reports are read there (tenants/database/replica.py); everything else, and all of it while the replica is away, from DATABASE_URL.
if env.text("DATABASE_REPLICA_URL", ""):
    DATABASES["replica"] = {**DATABASES["default"], **env.database("DATABASE_REPLICA_URL")}
    DATABASES["replica"]["ENGINE"] = DATABASES["default"]["ENGINE"]
    DATABASES["replica"]["OPTIONS"] = {**DATABASES["default"]["OPTIONS"], **DATABASES["replica"].get("OPTIONS", {})}
    if DATABASES["replica"]["OPTIONS"]["pool"]:
        DATABASES["replica"]["OPTIONS"]["pool"] = {
            **DATABASES["replica"]["OPTIONS"]["pool"],
            "connection_class": ImpatientConnection,
        }
DATABASE_REPLICA_ANSWER_SECONDS = _STATEMENT_TIMEOUT / 1000 + 5  # the server ends a statement itself, if it lives
DATABASE_REPLICA_MAX_LAG_SECONDS = env.integer("DATABASE_REPLICA_MAX_LAG_SECONDS", 60, minimum=5, maximum=86_400)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Where usage events are kept; docs/operations.md, "ClickHouse".
EVENT_STORE = env.choice("EVENT_STORE", "postgresql", ("postgresql", "clickhouse"))
CLICKHOUSE_URL = env.text("CLICKHOUSE_URL", "")
CLICKHOUSE_TIMEOUT_SECONDS = env.integer("CLICKHOUSE_TIMEOUT_SECONDS", 10, minimum=1, maximum=600)
LEDGER_KEEP_MONTHS = env.integer("LEDGER_KEEP_MONTHS", 0, minimum=0, maximum=1200)  # 0: for ever
LEDGER_RETIRE = env.choice("LEDGER_RETIRE", "drop", ("drop", "detach"))

CACHE_REDIS_URL = env.text("CACHE_REDIS_URL")
CACHES = {
    "default": {
        "BACKEND": "django_prometheus.cache.backends.redis.RedisCache",  # django-redis, counted: hits and misses
        "LOCATION": CACHE_REDIS_URL,
        "KEY_PREFIX": "portal",
        "VERSION": 2,  # values are pickles: raised when a class that lies here moves, so that two releases can run beside each other
        "OPTIONS": {
            "IGNORE_EXCEPTIONS": True,  # pages work without the cache
            "SOCKET_CONNECT_TIMEOUT": 0.25,
            "SOCKET_TIMEOUT": 0.25,
            "CONNECTION_POOL_KWARGS": {"retry": None},
        },
    }
}
DJANGO_REDIS_LOG_IGNORED_EXCEPTIONS = True

# --- Enforcement ---------------------------------------------------------------------------------------------------------------
ENFORCEMENT_REDIS_URL = env.text("ENFORCEMENT_REDIS_URL")
ENFORCEMENT_TIMEOUT_MS = env.integer("ENFORCEMENT_TIMEOUT_MS", 50, minimum=1, maximum=5000)
ENFORCEMENT_FAILURE_POLICY = env.text("ENFORCEMENT_FAILURE_POLICY", "bounded")
ENFORCEMENT_FAILURE_POLICIES = env.structured("ENFORCEMENT_FAILURE_POLICIES", {})  # by route class
ENFORCEMENT_LEASE_SIZE = env.integer("ENFORCEMENT_LEASE_SIZE", 0, minimum=0, maximum=1000)
ENFORCEMENT_BOUNDED_PER_MINUTE = env.integer("ENFORCEMENT_BOUNDED_PER_MINUTE", 30, minimum=0)
ENFORCEMENT_ROUTE_CLASSES = env.structured(
    "ENFORCEMENT_ROUTE_CLASSES", {"default": 1, "portal": 1, "imaging": 1, "search": 1, "ml": 1}
)
ENFORCEMENT_OPERATOR_WINDOWS = {"minute": 600, "hour": 10_000, "day": 100_000}
API_KEY_PEPPER = env.text("API_KEY_PEPPER")
API_KEY_ENV = env.text("API_KEY_ENV", "live" if PRODUCTION else PORTAL_ENV)

# --- Money ---------------------------------------------------------------------------------------------------------------------
PLATFORM_CURRENCY = "USD"
PLATFORM_BUDGET_USD = env.text("PLATFORM_BUDGET_USD", "10000")
PLATFORM_ALERT_EMAILS = env.items("PLATFORM_ALERT_EMAILS")
BUDGET_THRESHOLDS = [80, 90, 100]
FINANCE_REPORT_EMAILS = env.items("FINANCE_REPORT_EMAILS")
INVOICE_GRACE_HOURS = env.integer("INVOICE_GRACE_HOURS", 24, minimum=0, maximum=24 * 35)
WEBHOOKS_ALLOW_PRIVATE = env.boolean("WEBHOOKS_ALLOW_PRIVATE", PORTAL_ENV != "production")

# --- GPU reservations ----------------------------------------------------------------------------------------------------------
# What one tenant may hold where neither its tier nor an override says otherwise (quotas `reserved_gpus` and `reservation_hours`).
RESERVATION_MAX_GPUS = env.integer("RESERVATION_MAX_GPUS", 64, minimum=0, maximum=1_000_000)
RESERVATION_MAX_HOURS = env.integer("RESERVATION_MAX_HOURS", 24 * 14, minimum=1, maximum=24 * 366)
RESERVATION_MAX_COUNT = env.integer("RESERVATION_MAX_COUNT", 1000, minimum=1, maximum=100_000)
# Models that may be reserved, besides those with a price of their own and those of the fleet: any other name is refused, never priced by a guess.
GPU_MODELS = env.items(
    "GPU_MODELS",
    "A10,A100,A30,A40,B200,GB200,GH200,H100,H200,L4,L40,L40S,MI210,MI250X,MI300A,MI300X,MI325X,RTX 4090,RTX 5090,RTX 6000 Ada,RTX A6000,T4,V100",
)
RESERVATION_TTL_SECONDS = env.integer("RESERVATION_TTL_SECONDS", 900, minimum=30, maximum=86_400)

# --- Energy of GPUs ------------------------------------------------------------------------------------------------------------
# What the computer centre takes for each unit that reaches its machines, and the grid's CO2e in grams per kWh (unset: none is stated).
ENERGY_PUE: Decimal = env.number("ENERGY_PUE", Decimal(1), minimum=Decimal(1), maximum=Decimal(5))
ENERGY_GRAMS_PER_KWH: Decimal | None = env.number("ENERGY_GRAMS_PER_KWH", None, maximum=Decimal(2000))

# --- Work: Celery --------------------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True  # acks_late alone loses a task whose child is killed
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_TASK_TIME_LIMIT = 600
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 900,  # longer than the longest task
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_timeout": 5,
    "socket_connect_timeout": 1,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.1, "interval_max": 0.2}
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "flush call counters": {"task": "metering.tasks.flush_call_counters", "schedule": 5.0},
    "roll up usage": {"task": "metering.tasks.roll_up_usage", "schedule": 5.0},
    "run collectors": {"task": "metering.tasks.run_collectors", "schedule": 30.0},
    "keep reservations": {"task": "metering.tasks.keep_reservations", "schedule": 15.0},
    "check budgets": {"task": "metering.tasks.check_budgets", "schedule": 10.0},
    "check quotas": {"task": "metering.tasks.check_quotas", "schedule": 30.0},
    "send notifications": {"task": "metering.tasks.send_notifications", "schedule": 10.0},
    "send webhooks": {"task": "metering.tasks.send_webhooks", "schedule": 5.0},
    "close months by hand": {"task": "metering.tasks.close_months_by_hand", "schedule": 5.0},
    "announce invoices": {"task": "metering.tasks.announce_invoices", "schedule": 10.0},
    "settle gaps": {"task": "metering.tasks.settle_gaps", "schedule": 60.0},
    "run price dry runs": {"task": "metering.tasks.run_price_dry_runs", "schedule": 5.0},
    "watch GPUs": {"task": "metering.tasks.watch_gpus", "schedule": 60.0},
    "check unknown usage": {"task": "metering.tasks.check_unknown_usage", "schedule": 60.0},
    "send notice digests": {"task": "metering.tasks.send_notice_digests", "schedule": 300.0},
    "write exports": {"task": "metering.tasks.write_exports", "schedule": 5.0},
    "find anomalies": {"task": "metering.tasks.find_anomalies", "schedule": crontab(minute=41)},
    "send finance report": {"task": "metering.tasks.send_finance_report", "schedule": crontab(minute=51)},
    "close months": {"task": "metering.tasks.close_months", "schedule": crontab(minute=11)},
    "reconcile policies": {"task": "tenants.tasks.reconcile_policies", "schedule": 60.0},
    "end visits": {"task": "tenants.tasks.end_visits", "schedule": 60.0},
    "apply scheduled limits": {"task": "tenants.tasks.apply_scheduled_limits", "schedule": 10.0},
    "warn of ending grants": {"task": "metering.tasks.warn_of_ending_grants", "schedule": crontab(minute="*/10")},
    "retire ledger months": {"task": "metering.tasks.retire_ledger_months", "schedule": crontab(minute=37)},
    "keep partitions": {"task": "metering.tasks.keep_partitions", "schedule": crontab(minute=7)},
    "tidy up": {"task": "metering.tasks.tidy_up", "schedule": crontab(minute=23)},
}
if EVENT_STORE == "clickhouse":
    CELERY_BEAT_SCHEDULE["settle events"] = {"task": "metering.tasks.settle_events", "schedule": 5.0}
if "replica" in DATABASES:
    CELERY_BEAT_SCHEDULE["beat for the replica"] = {"task": "tenants.tasks.beat_for_the_replica", "schedule": 5.0}

# --- Mail ----------------------------------------------------------------------------------------------------------------------
EMAIL_CONFIG = env.mail_server("EMAIL_URL", "smtp://127.0.0.1:1025")
EMAIL_BACKEND = EMAIL_CONFIG["EMAIL_BACKEND"]
EMAIL_HOST = EMAIL_CONFIG.get("EMAIL_HOST", "")
EMAIL_PORT = EMAIL_CONFIG.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = EMAIL_CONFIG.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = EMAIL_CONFIG.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS = EMAIL_CONFIG.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = EMAIL_CONFIG.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Aurelius Portal <portal@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# --- Collectors ----------------------------------------------------------------------------------------------------------------
# [{"name": "volumes", "kind": "filesystem", "root": "/srv/tenants", …}]; kinds and fields: docs/collectors.md
COLLECTORS = env.structured("COLLECTORS", [])
# {"gpu-01": "<random text>"}: tokens of nodes that report through the API (`manage.py collect`)
COLLECTOR_TOKENS = env.structured("COLLECTOR_TOKENS", {})

# --- Grafana -------------------------------------------------------------------------------------------------------------------
GRAFANA_OPERATOR_URL = env.text("GRAFANA_OPERATOR_URL", "").rstrip("/")
GRAFANA_TENANT_URL = env.text("GRAFANA_TENANT_URL", "").rstrip("/")
GRAFANA_KEYS_DIR = env.text("GRAFANA_KEYS_DIR", "")  # made and published by `manage.py grafana_keys`

# --- People --------------------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = reverse_lazy("account_login")
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_ADAPTER = "portal.people.accounts.AccountAdapter"  # no open sign-up: people are invited
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,5/5m/key"}
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""  # else the Host that the request named would stand in the subject
ACCOUNT_REAUTHENTICATION_TIMEOUT = 30 * 60  # dangerous acts ask again after that
MFA_ADAPTER = "portal.people.second_factor.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Aurelius Portal"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # accounts come by invitation or from operators; a second factor needs no mail
OPERATOR_MFA_REQUIRED = env.boolean("OPERATOR_MFA_REQUIRED", PRODUCTION)
# [{"id": "corp", "name": "Corp", "server_url": "https://idp…", "client_id": "…", "client_secret": "…", "roles_claim": "groups",
#   "roles": {"gpu-team": "acme:admin", "ops": "platform:operator"}}]; docs/operations.md
OIDC_PROVIDERS = env.structured("OIDC_PROVIDERS", [])
SOCIALACCOUNT_ADAPTER = "portal.people.sign_on.SignOnAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True  # where the adapter lets an address be the proof
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_PROVIDERS = identity_providers.for_allauth(identity_providers.usable(OIDC_PROVIDERS))
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_USE_SESSIONS = True
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# --- Transport security --------------------------------------------------------------------------------------------------------
_TLS = env.boolean("TLS", PRODUCTION)
SESSION_COOKIE_SECURE = _TLS
CSRF_COOKIE_SECURE = _TLS
SECURE_SSL_REDIRECT = _TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$", r"^api/v1/alerts$", r"^grafana-auth/"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _TLS
SECURE_HSTS_PRELOAD = _TLS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXY_DEPTH else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "frame-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    }
}
# django-unfold's Alpine.js evaluates expressions; only the admin gets this looser policy.
ADMIN_CONTENT_SECURITY_POLICY = {
    "script-src": [SELF, UNSAFE_EVAL, UNSAFE_INLINE],
    "style-src": [SELF, UNSAFE_INLINE],
    "frame-src": [SELF, *(["/".join(GRAFANA_OPERATOR_URL.split("/")[:3])] if "://" in GRAFANA_OPERATOR_URL else [])],
}

# --- API -----------------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.api.authentication.PrincipalAuthentication",
        "portal.api.authentication.BrowserSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["tenants.api.parsers.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "portal.api.pagination.Pages",
    "PAGE_SIZE": 50,
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "portal.api.errors.handle",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
    "DATETIME_FORMAT": "iso-8601",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Aurelius Portal API",
    "DESCRIPTION": "Tenants, quotas, usage and costs. Errors are RFC 9457 problem details with a stable `code`.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "portal.api.schema.add_limit_headers",
        "portal.api.schema.share_problems",
    ],
    "ENUM_NAME_OVERRIDES": {
        "ApiKeyState": ["active", "expired", "revoked"],
        "BudgetPeriod": "metering.models.BudgetPeriod",
        "InvoiceState": "metering.models.InvoiceState",
        "CallerKind": ["key", "operator", "person"],
        "ForecastQuality": ["none", "wide", "good"],
        "LineKind": ["usage", "fee", "shortfall", "overage"],
        "ProjectionQuality": ["good", "wide"],
        "LimitKind": ["rate_limit", "quota"],
        "LimitSource": ["tier", "override"],
        "ProblemCode": "portal.api.schema.PROBLEM_CODES",
        "ReservationState": ["held", "settled", "cancelled", "lapsed", "released"],
        "Role": "tenants.models.Role",
        "Scope": "tenants.models.apikey.Scope",
        "TenantState": "tenants.models.TenantState",
        "WindowName": ["minute", "hour", "day"],
    },
}

# --- Telemetry -----------------------------------------------------------------------------------------------------------------
VERSION = env.text("PORTAL_VERSION", "local")
METRICS_TOKEN = env.text("METRICS_TOKEN", "")
# What `manage.py doctor` looks at, and nothing else does: addresses with their path; user:password@ is sent as Basic.
PROMETHEUS_URL = env.text("PROMETHEUS_URL", "")
ALERTMANAGER_URL = env.text("ALERTMANAGER_URL", "")
JAEGER_URL = env.text("JAEGER_URL", "")
ALERTS_TOKEN = env.text("ALERTS_TOKEN", "")  # Alertmanager's, for POST /api/v1/alerts; empty closes that door
WORKER_METRICS_PORT = env.integer("WORKER_METRICS_PORT", 9101 if PRODUCTION else 0, minimum=0, maximum=65535)
# Tracing is off, with nothing of it installed, while no endpoint is set.
TRACING = {
    "endpoint": env.text("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    "protocol": telemetry.protocol(env.text("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")),
    "headers": telemetry.parse_headers(env.text("OTEL_EXPORTER_OTLP_HEADERS", "")),
    "certificate": env.text("OTEL_EXPORTER_OTLP_CERTIFICATE", ""),
    "client_certificate": env.text("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", ""),
    "client_key": env.text("OTEL_EXPORTER_OTLP_CLIENT_KEY", ""),
    "ratio": telemetry.ratio(env.text("OTEL_TRACES_SAMPLER_ARG", "1" if not PRODUCTION else "0.1")),
    "trust_parent": env.boolean("TRACES_TRUST_PARENT", True),
    "service": env.text("OTEL_SERVICE_NAME", ""),
}

# --- Language, time, static files ----------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "portal" / "locale"]
FORMAT_MODULE_PATH = ["portal.locale_formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / ".data" / "static")))
STATICFILES_DIRS = [directory for directory in [BASE_DIR / "portal" / "static"] if directory.is_dir()]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION

# --- Admin ---------------------------------------------------------------------------------------------------------------------
UNFOLD = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_ICON": "portal.admin_site.favicon",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "portal.admin_site.favicon"}],
    "STYLES": ["portal.admin_site.stylesheet"],
    "SCRIPTS": ["portal.admin_site.script"],
    "COLORS": "portal.admin_site.colors",
    "SHOW_HISTORY": True,
    "ENVIRONMENT": "portal.admin_site.environment",
    "DASHBOARD_CALLBACK": "portal.admin_site.dashboard",
    "COMMAND": {"search_models": ["tenants.tenant"]},
    "SIDEBAR": {"show_search": True, "command_search": True, "navigation": "portal.admin_site.navigation"},
}

# --- Logs ----------------------------------------------------------------------------------------------------------------------
LOGGING = logs.LOGGING
logs.configure()
exposition.prepare()

if PORTAL_ENV == "test":
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

env.finish()
