"""Numbered system checks of the settings: each says what is wrong and what to set. Every `manage.py` command runs them first.

E: the product would misbehave, and no command runs. W: it works, but not as a production installation should.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from portal.people import providers

FAILURE_POLICIES = ("deny", "bounded", "allow")
MINIMUM_PEPPER = 32
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+socket")
CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
"""Of the enforcement Redis only: redis+cluster://[:password@]host:port,host:port…"""

KEY_ENV_PATTERN = r"[a-z][a-z0-9]{0,11}"
ROUTE_CLASS_PATTERN = r"[a-z0-9][a-z0-9_.-]{0,31}"

Finding = checks.CheckMessage
Check = Callable[[], Iterable[Finding]]


def error(number: int, text: str, hint: str) -> Finding:
    return checks.Error(text, hint=hint, id=f"portal.E{number:03d}")


def warning(number: int, text: str, hint: str) -> Finding:
    return checks.Warning(text, hint=hint, id=f"portal.W{number:03d}")


def pepper() -> Iterable[Finding]:
    if len(settings.API_KEY_PEPPER) < MINIMUM_PEPPER:
        yield error(
            1,
            f"API_KEY_PEPPER has {len(settings.API_KEY_PEPPER)} characters; {MINIMUM_PEPPER} are the least.",
            'Set API_KEY_PEPPER (or API_KEY_PEPPER_FILE) to a random text: python -c "import secrets; print(secrets.token_urlsafe(48))". '
            "Changing it later makes every API key invalid.",
        )
    elif settings.API_KEY_PEPPER == settings.SECRET_KEY:
        yield error(
            2,
            "API_KEY_PEPPER is the same text as SECRET_KEY.",
            "Give each its own random text, so that one can be rotated without the other.",
        )


def platform_budget() -> Iterable[Finding]:
    try:
        amount = Decimal(settings.PLATFORM_BUDGET_USD)
    except (InvalidOperation, TypeError, ValueError):
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        yield error(
            3,
            f"PLATFORM_BUDGET_USD={settings.PLATFORM_BUDGET_USD!r} is not a positive amount.",
            "Set PLATFORM_BUDGET_USD to dollars a month, for example 10000.",
        )


def failure_policy() -> Iterable[Finding]:
    if settings.ENFORCEMENT_FAILURE_POLICY not in FAILURE_POLICIES:
        yield error(
            4,
            f"ENFORCEMENT_FAILURE_POLICY={settings.ENFORCEMENT_FAILURE_POLICY!r} is unknown.",
            "Set it to deny (503 while Redis is away), bounded (a small local allowance) or allow.",
        )


def failure_policies() -> Iterable[Finding]:
    policies: Any = settings.ENFORCEMENT_FAILURE_POLICIES
    if not isinstance(policies, dict) or any(policy not in FAILURE_POLICIES for policy in policies.values()):
        yield error(
            17,
            "ENFORCEMENT_FAILURE_POLICIES is not an object of route classes and policies.",
            'Set it to a JSON object such as {"ml": "deny"}; policies are deny, bounded and allow.',
        )


def site_url() -> Iterable[Finding]:
    parts = urlsplit(settings.SITE_URL)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        yield error(
            5,
            f"SITE_URL={settings.SITE_URL!r} is not an absolute web address.",
            "Set SITE_URL to what people type, for example https://portal.example.org. Links in e-mails start with it.",
        )
    elif settings.PRODUCTION and parts.scheme == "http":
        yield warning(
            5, f"SITE_URL={settings.SITE_URL!r} sends people over plain HTTP.", "Set SITE_URL to the https:// address."
        )


def redis_servers() -> Iterable[Finding]:
    urls = {name: getattr(settings, name) for name in ("ENFORCEMENT_REDIS_URL", "CACHE_REDIS_URL", "CELERY_BROKER_URL")}
    for name, url in urls.items():
        if name == "ENFORCEMENT_REDIS_URL" and urlsplit(url).scheme in CLUSTER_SCHEMES:
            continue
        if name != "CELERY_BROKER_URL" and urlsplit(url).scheme not in REDIS_SCHEMES:
            yield error(
                6,
                f"{name} is not a Redis address.",
                f"Set {name} to redis://[:password@]host:port/number, or rediss:// for TLS.",
            )
    if settings.PRODUCTION and _server(urls["ENFORCEMENT_REDIS_URL"]) == _server(urls["CACHE_REDIS_URL"]):
        yield warning(
            6,
            "ENFORCEMENT_REDIS_URL and CACHE_REDIS_URL name the same Redis server.",
            "Quota counters need maxmemory-policy noeviction, a cache wants to evict: run a second server for CACHE_REDIS_URL.",
        )


def mail() -> Iterable[Finding]:
    backend = settings.EMAIL_BACKEND.rsplit(".", 1)[-1]
    if "smtp" in settings.EMAIL_BACKEND and not settings.EMAIL_HOST:
        yield error(
            7,
            "EMAIL_URL names no mail server.",
            "Set EMAIL_URL to smtp+tls://user:password@host:587 (or smtp+ssl://…:465).",
        )
    elif settings.PRODUCTION and "smtp" not in settings.EMAIL_BACKEND:
        yield warning(
            7, f"E-mails go to {backend} and reach nobody.", "Set EMAIL_URL to smtp+tls://user:password@host:587."
        )
    if settings.PRODUCTION and settings.DEFAULT_FROM_EMAIL.rstrip(">").endswith("@localhost"):
        yield warning(
            8,
            f"DEFAULT_FROM_EMAIL is {settings.DEFAULT_FROM_EMAIL!r}, which mail servers refuse.",
            "Set DEFAULT_FROM_EMAIL to an address of your own domain.",
        )


def alert_recipients() -> Iterable[Finding]:
    for address in settings.PLATFORM_ALERT_EMAILS:
        try:
            validate_email(address)
        except ValidationError:
            yield error(
                9,
                f"PLATFORM_ALERT_EMAILS holds {address!r}, which is no e-mail address.",
                "Set it to addresses, separated by commas.",
            )
    if settings.PRODUCTION and not settings.PLATFORM_ALERT_EMAILS:
        yield warning(
            9,
            "PLATFORM_ALERT_EMAILS is empty: nobody hears of the platform's own budget.",
            "Set it to one or more addresses, separated by commas.",
        )


def key_environment() -> Iterable[Finding]:
    if not re.fullmatch(KEY_ENV_PATTERN, settings.API_KEY_ENV):
        yield error(
            10,
            f"API_KEY_ENV={settings.API_KEY_ENV!r} cannot be part of an API key.",
            "Set it to live, test or demo (lower-case letters and digits, at most 12).",
        )


def route_classes() -> Iterable[Finding]:
    classes: Any = settings.ENFORCEMENT_ROUTE_CLASSES
    hint = 'Set it to a JSON object of names and whole costs, for example {"default": 1, "ml": 5}.'
    if not isinstance(classes, dict) or "default" not in classes:
        yield error(11, 'ENFORCEMENT_ROUTE_CLASSES is not an object with a "default".', hint)
        return
    for name, cost in classes.items():
        if not re.fullmatch(ROUTE_CLASS_PATTERN, name) or type(cost) is not int or not 0 < cost <= 1_000_000:
            yield error(
                11, f"ENFORCEMENT_ROUTE_CLASSES: {name!r}: {cost!r} is not a name with a positive whole cost.", hint
            )


def collectors() -> Iterable[Finding]:
    """That it is a list of named entries; what each entry holds is metering's to check (metering.E001, E002)."""
    configured: Any = settings.COLLECTORS
    hint = 'Set COLLECTORS to a JSON list such as [{"name": "volumes", "kind": "filesystem", "root": "/srv/tenants"}]; see docs/operations.md.'
    if not isinstance(configured, list):
        yield error(12, "COLLECTORS is not a list.", hint)
        return
    seen: set[str] = set()
    for position, collector in enumerate(configured, start=1):
        name = collector.get("name") if isinstance(collector, dict) else None
        if not isinstance(name, str) or not name or not isinstance(collector.get("kind"), str):
            yield error(12, f"COLLECTORS entry {position} lacks a name or a kind.", hint)
        elif name in seen:
            yield error(
                12, f"COLLECTORS names {name!r} twice.", "Names make the ids of readings: give every collector its own."
            )
        else:
            seen.add(name)


def grafana() -> Iterable[Finding]:
    for name in ("GRAFANA_OPERATOR_URL", "GRAFANA_TENANT_URL"):
        url = getattr(settings, name)
        parts = urlsplit(url)
        absolute = parts.scheme in {"http", "https"} and parts.hostname
        if url and not absolute and not (url.startswith("/") and not url.startswith("//")):
            yield error(
                13,
                f"{name}={url!r} is neither a web address nor a path of this site.",
                f"Set {name} to /grafana, to https://…, or leave it empty for the portal's own charts.",
            )
        elif name == "GRAFANA_TENANT_URL" and absolute:
            yield error(
                18,
                f"GRAFANA_TENANT_URL={url!r} is an address of its own. What may be seen in it is asked of the portal for each request, by cookies that "
                "only this site gets: elsewhere every panel would be refused.",
                "Set GRAFANA_TENANT_URL to a path of this site (/tenant-grafana), and let the proxy in front pass it on as "
                "infra/observability/nginx/site.conf does; or leave it empty for the portal's own charts.",
            )


def people() -> Iterable[Finding]:
    for problem in providers.problems(settings.OIDC_PROVIDERS):
        yield error(16, problem, "See docs/operations.md, “Single sign-on”; an entry with a problem is not offered.")
    if settings.PRODUCTION and not settings.OPERATOR_MFA_REQUIRED:
        yield warning(
            16,
            "OPERATOR_MFA_REQUIRED is off: a stolen password opens the operators' admin.",
            "Set OPERATOR_MFA_REQUIRED=1, or let the identity provider demand the second factor.",
        )


def transport() -> Iterable[Finding]:
    if settings.PRODUCTION and settings.SECURE_SSL_REDIRECT and not settings.TRUSTED_PROXY_DEPTH:
        yield warning(
            14,
            "TLS is on and TRUSTED_PROXY_DEPTH is 0: behind a proxy every request is redirected to itself for ever.",
            "Set TRUSTED_PROXY_DEPTH to the number of proxies in front (usually 1). Ignore this where this process ends TLS itself.",
        )
    if settings.PRODUCTION and not settings.METRICS_TOKEN:
        yield error(
            15,
            "METRICS_TOKEN is empty: /metrics would tell every tenant's costs to everybody.",
            "Set METRICS_TOKEN (or METRICS_TOKEN_FILE) to a random text and give it to Prometheus as a bearer token.",
        )


ALWAYS: tuple[Check, ...] = (
    pepper, platform_budget, failure_policy, failure_policies, site_url, redis_servers, mail, alert_recipients, key_environment, route_classes,
    collectors, grafana, people, transport,
)  # fmt: skip


def settings_checks(app_configs: Any = None, **_: Any) -> list[Finding]:
    """All findings about the settings, in the order of their numbers."""
    return [finding for check in ALWAYS for finding in check()]


def _server(url: str) -> tuple[str, int, str]:
    parts = urlsplit(url.partition(",")[0])
    host = {"localhost": "127.0.0.1"}.get(parts.hostname or "", parts.hostname or "")
    return (host, parts.port or 6379, parts.path if parts.scheme == "unix" else "")
