"""The attack suite: browser → real nginx with our configuration → portal → Grafana (stub at the wire) → real prom-label-proxy → real
Prometheus that holds several tenants' series. Nothing of acme or of the platform ever reaches globex' session.

Every answer is searched for what only acme's and the platform's series hold; the same probes find globex' own, so that a dead chain
does not pass for a tight one.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.test import Client
from django.utils import timezone

from portal import grafana_access, grafana_keys
from portal.embedded import free_port
from tenants import provisioning
from tests.tenants.cast import Cast, make_cast

from . import servers

lacking = servers.missing("nginx", "prometheus", "prom-label-proxy")
pytestmark = [pytest.mark.skipif(bool(lacking), reason=lacking), pytest.mark.slow]

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
COST = "portal_cost_month_to_date_usd"
FORBIDDEN = (b"acme", b"424242", b"platform-secret", b"777777")
SERIES = f"""# TYPE {COST} gauge
{COST}{{tenant="acme",category="gpu",marker="acme-secret"}} 424242
{COST}{{tenant="globex",category="gpu",marker="globex-own"}} 171717
{COST}{{tenant="globex-2",category="gpu",marker="acme-like"}} 424242
# TYPE acme_secret_total counter
acme_secret_total{{tenant="acme"}} 424242
# TYPE platform_total counter
platform_total{{marker="platform-secret"}} 777777
"""


@dataclass
class Stage:
    """The chain, and who is signed in."""

    url: str
    grafana: servers.GrafanaStub
    proxy: str
    cast: Cast
    keys: Path
    secrets: Path

    def cookie(self, person: str, slug: str) -> str:
        client = Client()
        client.force_login(self.cast.people[person], backend=BACKEND)
        return f"sessionid={client.cookies['sessionid'].value}; {grafana_access.TENANT_COOKIE}={slug}"

    def get(self, path: str, cookie: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return servers.fetch(self.url + path, headers={**names, **({"Cookie": cookie} if cookie else {})})

    def query(self, expr: str, cookie: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
        body = json.dumps({"queries": [{"refId": "A", "expr": expr}]}).encode()
        sent = {
            "Cookie": cookie,
            "Content-Type": "application/json",
            **{n.replace("_", "-"): v for n, v in headers.items()},
        }
        return servers.fetch(f"{self.url}/tenant-grafana/api/ds/query", data=body, headers=sent)

    def raw(
        self, path: str, cookie: str, data: bytes | None = None, kind: str = ""
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {"Cookie": cookie, **({"Content-Type": kind} if kind else {})}
        return servers.fetch(f"{self.url}/tenant-grafana/raw?path={urllib.parse.quote(path)}", data=data, headers=sent)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servers.secrets(tmp_path_factory.mktemp("secrets"))


def password(secrets: Path, who: str) -> dict[str, str]:
    return servers.basic(who, (secrets / f"{who}_password").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, secrets: Path) -> Iterator[str]:
    """A Prometheus that scrapes several tenants' series, and answers those who have a password."""
    source = servers.Web(lambda handler, body: (200, {"Content-Type": "text/plain; version=0.0.4"}, SERIES.encode()))
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "x", "static_configs": [{"targets": [f"127.0.0.1:{source.port}"]}]}],
    }
    options = (
        "--web.enable-admin-api", f"--web.config.file={secrets}/prometheus_web", "--web.external-url=http://127.0.0.1/prometheus/",
    )  # fmt: skip
    with servers.prometheus(tmp_path_factory.mktemp("prometheus"), json.dumps(config), *options) as url:
        known = (
            url.replace("http://", f"http://operators:{(secrets / 'operators_password').read_text()}@") + "/prometheus"
        )
        servers.until(lambda: len(servers.ask(known, COST)) == 3, message="nothing was scraped")
        yield f"{url}/prometheus"
    source.close()


@pytest.fixture
def stage(
    data: str, secrets: Path, live_server: Any, transactional_db: None, tmp_path: Path, settings: Any
) -> Iterator[Stage]:
    keys = tmp_path / "keys"
    grafana_keys.make(keys, timezone.now())
    settings.GRAFANA_KEYS_DIR = str(keys)
    settings.GRAFANA_TENANT_URL = "/tenant-grafana"
    port = free_port()
    proxy = f"http://127.0.0.1:{port}"
    options = (
        f"-insecure-listen-address=127.0.0.1:{port}", f"-upstream={data}", "-label=tenant", "-header-name=X-Grafana-User",
        "-enable-label-apis", "-error-on-replace",
    )  # fmt: skip
    grafana = servers.GrafanaStub(
        "grafana-tenant", proxy, lambda: grafana_keys.jwks(grafana_keys.read(keys)), password(secrets, "tenants")
    )
    upstreams = {
        "portal": live_server.url.removeprefix("http://"),
        "grafana_tenant": f"127.0.0.1:{grafana.web.port}",
        "grafana_ops": f"127.0.0.1:{grafana.web.port}",
        "prometheus": data.removeprefix("http://").removesuffix("/prometheus"),
    }
    with (
        servers.running("prom-label-proxy", *options, ready=f"{proxy}/healthz", log=tmp_path / "proxy.log"),
        servers.nginx(tmp_path / "nginx", upstreams, secrets) as url,
    ):
        yield Stage(url, grafana, proxy, make_cast(), keys, secrets)
    grafana.web.close()


def clean(*answers: tuple[int, dict[str, str], bytes]) -> bool:
    """Nothing of anybody else, in bodies or headers."""
    for status, headers, body in answers:
        everything = body + json.dumps(headers).encode()
        for secret in FORBIDDEN:
            # An error that repeats the asker's own words tells them nothing.
            if secret in everything and not (
                status in (400, 403, 404, 422) and b"424242" not in body and b"-secret" not in body
            ):
                return False
    return True


X = COST
EXPRESSIONS = [
    f'{X}{{tenant="acme"}}', f'{X}{{tenant=~".*"}}', f'{X}{{tenant!="globex"}}', f'{X}{{tenant!~"globex"}}', f'{X}{{tenant=""}}',
    f'{X}{{tenant=~"acme|globex"}}', f'{X}{{tenant=~"globex|"}}', f'{X}{{tenant="globex",tenant="acme"}}', f'{X}{{tenant=~"globex.*"}}',
    f'{X}{{tenant=~"(?i)ACME"}}', '{__name__=~".+"}', '{__name__=~".+",tenant=~".+"}', '{marker="acme-secret"}', '{marker=~".*secret"}',
    "acme_secret_total", "platform_total", "up", "scrape_samples_scraped", "ALERTS", 'count by (tenant) ({__name__=~".+"})',
    f"sum without (tenant) ({X})", f"sum by (tenant, marker) ({X})", f'label_replace({X}{{tenant="acme"}}, "tenant", "globex", "", "")', f'label_join({X}{{tenant="acme"}}, "x", "-", "marker")',
    f'max_over_time({X}{{tenant="acme"}}[10m:1s])', f"max_over_time({X}[10m:1s])", f'last_over_time({X}{{tenant="acme"}}[10m])',
    f'{X}{{tenant="acme"}} offset 1s', f'{X}{{tenant="acme"}} @ end()', f'{X}{{tenant="globex"}} or {X}{{tenant="acme"}}',
    f'{X}{{tenant="globex"}} or ignoring (tenant, marker) {X}', f'{X}{{tenant="globex"}} * on () group_left (marker) {X}{{tenant="acme"}}',
    f'vector(scalar({X}{{tenant="acme"}}))', "vector(scalar(platform_total))", f'topk(5, {X}{{tenant=~"a.*"}})', f'count_values("v", {X})',
    f'quantile(1, {X})', f'max({X})', f'absent({X}{{tenant="acme"}}) or {X}', f'sort_desc({X}{{marker=~"acme.*"}})', f'group({X}{{tenant!=""}})',
    f'{X}{{marker="\\"}} or {X}{{tenant=\\"acme"}}', f"{X}{{marker='\"}} or {X}{{tenant=\"acme\"}}' }}", f'{X}{{tenant="globex"}} # }} or {X}',
    f'{X}{{tenant="globex"}}\n or \n{X}', f"{X}{{`tenant`=`acme`}}", '{"acme_secret_total"}', f'(((({X}{{tenant="acme"}}))))',
    f'predict_linear({X}{{tenant="acme"}}[1m], 1)', f'histogram_quantile(0.5, {X})', "time() or acme_secret_total", "\u202e" + X,
    f'{X}{{tenant="glob\\u0065x"}} or acme_secret_total', "x" * 10_000,
]  # fmt: skip


def test_exotic_expressions_show_only_what_is_ones_own(stage: Stage) -> None:
    mallory = stage.cookie("mallory", "globex")
    status, _, body = stage.query(X, mallory)
    assert (status, b"171717" in body, b"globex-own" in body) == (200, True, True), "the chain is dead"
    leaks = [expr for expr in EXPRESSIONS if not clean(stage.query(expr, mallory))]
    assert leaks == []
    assert len(EXPRESSIONS) > 50
    # One may call one's own numbers what one likes: they stay one's own.
    renamed = stage.query(f'label_replace({X}, "tenant", "acme", "", "")', mallory)[2]
    assert b"171717" in renamed
    assert b"424242" not in renamed


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_every_api_of_prometheus_is_narrowed_or_closed(stage: Stage, method: str) -> None:
    mallory = stage.cookie("mallory", "globex")
    match = urllib.parse.urlencode({"match[]": '{__name__=~".+"}', "query": X, "start": str(time.time() - 60), "end": str(time.time()), "step": "5"})  # fmt: skip
    leaks = []
    paths = [
        "query", "query_range", "series", "labels", "label/marker/values", "label/tenant/values", "label/__name__/values", "query_exemplars",
        "rules", "alerts", "targets", "targets/metadata", "metadata", "status/config", "status/flags", "status/tsdb", "status/runtimeinfo",
        "alertmanagers", "format_query", "read", "write", "admin/tsdb/snapshot", "admin/tsdb/delete_series", "scrape_pools",
    ]  # fmt: skip
    urls = [f"/api/v1/{path}" for path in paths]
    urls += [
        "/federate",
        "/metrics",
        "/graph",
        "/config",
        "/",
        "/-/reload",
        "/-/quit",
        "/debug/pprof/",
        "/consoles/x",
        "//api/v1/query",
    ]
    urls += [
        "/api/v1/../v1/query",
        "/api/v1/%2e%2e/v1/status/config",
        "/federate/",
        "/api/v1/query/../status/tsdb",
        "/API/V1/query",
    ]
    for url in urls:
        answers = [stage.raw(f"{url}?{match}", mallory)] if method == "GET" else [
            stage.raw(url, mallory, match.encode(), "application/x-www-form-urlencoded"),
            stage.raw(f"{url}?{match}", mallory, b"query=up&match[]=up", "application/x-www-form-urlencoded"),
        ]  # fmt: skip
        if not clean(*answers):
            leaks.append(url)
    assert leaks == []


def test_parameters_cannot_name_another_tenant(stage: Stage) -> None:
    mallory = stage.cookie("mallory", "globex")
    tails = [
        "tenant=acme", "tenant=globex&tenant=acme", f"query={X}&query=acme_secret_total", "match[]=up&match[]=acme_secret_total",
        "match%5B%5D={__name__%3D~\".%2B\"}", f"query={X}%00", "X-Grafana-User=acme", "dedup=false", "namespace=acme",
    ]  # fmt: skip
    for path in ("/api/v1/query", "/api/v1/series", "/federate"):
        for tail in tails:
            whole = f"{path}?query={urllib.parse.quote(X)}&{tail}"
            assert clean(
                stage.raw(whole, mallory), stage.raw(path, mallory, tail.encode(), "application/x-www-form-urlencoded")
            ), whole


FORGED = {
    "X_Grafana_User": "acme", "X_WEBAUTH_USER": "acme", "X_JWT_Assertion": "acme", "Authorization": "Bearer acme", "X_Forwarded_User": "acme",
    "X_Grafana_Org_Id": "2", "X_Grafana_Id": "acme", "X_Scope_OrgID": "acme", "X_Original_URL": "/grafana/", "X_Rewrite_URL": "/prometheus/",
    "X_Grafana_Assertion": "acme", "Remote_User": "acme", "X_Auth_Request_User": "acme", "X_HTTP_Method_Override": "PUT",
    "X_Dashboard_Uid": "x", "X_Accel_Redirect": "/_auth/tenant",
}  # fmt: skip


def test_no_header_of_the_browser_says_who_one_is(stage: Stage) -> None:
    mallory = stage.cookie("mallory", "globex")
    for name, value in FORGED.items():
        answer = stage.query(X, mallory, **{name: value})
        assert answer[0] == 200
        assert b"171717" in answer[2]
        assert clean(answer), name
    reached = {name for request in stage.grafana.seen for name in request}
    assert reached & {name.replace("_", "-").lower() for name in FORGED} == {"x-jwt-assertion"}
    assert "cookie" not in reached


def test_the_cookie_chooses_among_ones_own_tenants_only(stage: Stage) -> None:
    mallory, alice = stage.cookie("mallory", "globex"), stage.cookie("alice", "acme")
    assert b"424242" in stage.query(X, alice)[2], "the chain is dead"
    session = mallory.split(";")[0]
    name = grafana_access.TENANT_COOKIE
    for slug in (
        "acme",
        "acme|globex",
        "globex|acme",
        ".*",
        "globex-2",
        "",
        "acme%00",
        "globex acme",
        "Acme",
        '"acme"',
        "../acme",
    ):
        for cookie in (
            f"{session}; {name}={slug}",
            f"{name}={slug}; {session}",
            f"{session}; {name}={slug}; {name}=globex",
        ):
            answer = stage.query(X, cookie)
            assert clean(answer), cookie
            assert answer[0] in (401, 403), cookie
    # What is kept for one pair of session and tenant is nobody else's.
    assert stage.query(X, f"sessionid=x|acme; {name}=acme")[0] == 401
    assert stage.query(X, f"{name}=acme")[0] == 401


def _hs256(claims: dict[str, Any], kid: str, secret: bytes) -> str:
    """Signed with the public key as if it were a secret: by hand, for the library refuses to."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "typ": "JWT", "kid": kid}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), 'sha256'))}"


def test_forged_tokens_are_no_tokens(stage: Stage) -> None:
    keys = grafana_keys.read(stage.keys)
    key, now = keys[0], int(time.time())
    good = {"iss": "portal", "aud": "grafana-tenant", "sub": "acme", "iat": now, "nbf": now, "exp": now + 60}
    public = grafana_keys.jwks(keys).encode()

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    head = {"kid": key.kid}
    other = grafana_keys.ec.generate_private_key(grafana_keys.ec.SECP256R1())
    tokens = [
        "", "a.b.c", f"{part({'alg': 'none', 'kid': key.kid})}.{part(good)}.", _hs256(good, key.kid, public),
        jwt.encode(good, other, "ES256", headers=head), jwt.encode({**good, "exp": now - 1}, key.private, "ES256", headers=head),
        jwt.encode({**good, "aud": "grafana-ops"}, key.private, "ES256", headers=head), jwt.encode(good, key.private, "ES256"),
        jwt.encode({**good, "iss": "someone"}, key.private, "ES256", headers=head), jwt.encode(good, key.private, "ES256", headers={"kid": "x"}),
    ]  # fmt: skip
    assert [token for token in tokens if stage.grafana.subject(token) is not None] == []
    mallory = stage.cookie("mallory", "globex")
    valid = jwt.encode(good, key.private, "ES256", headers=head)
    assert stage.grafana.subject(valid) == "acme"
    for token in [*tokens, valid]:
        assert clean(stage.query(X, mallory, X_JWT_Assertion=token, Authorization=f"Bearer {token}"))
        assert stage.query(X, "", X_JWT_Assertion=token)[0] == 401
        assert stage.get(f"/tenant-grafana/d-solo/tenant/tenant?auth_token={token}")[0] == 401


def test_the_tokens_and_the_inner_addresses_are_not_for_browsers(stage: Stage) -> None:
    mallory = stage.cookie("mallory", "globex")
    for path in (
        "/grafana-auth/tenant", "/grafana-auth/operator", "/grafana-auth/", "/grafana-auth/../grafana-auth/tenant", "/%67rafana-auth/tenant",
        "//grafana-auth/tenant", "/_auth/tenant", "/_auth/operator", "/metrics", "/metrics/business", "/%6detrics", "//metrics",
    ):  # fmt: skip
        status, headers, _ = stage.get(path, mallory)
        assert status == 404, path
        assert "x-grafana-assertion" not in headers
    panel = stage.get("/tenant-grafana/d-solo/tenant/tenant?panelId=1", mallory)
    assert (panel[0], panel[2]) == (200, b"panel of globex")
    assert {"set-cookie", "x-frame-options", "x-grafana-assertion", "x-jwt-assertion"} & panel[1].keys() == set()
    assert panel[1]["content-security-policy"] == "frame-ancestors 'self'"


def test_grafanas_side_doors_are_closed(stage: Stage) -> None:
    mallory = stage.cookie("mallory", "globex")
    before = len(stage.grafana.seen)
    for path in (
        "api/datasources/proxy/uid/tenant-prometheus/api/v1/query", "api/datasources/uid/tenant-prometheus/resources/api/v1/labels",
        "api/datasources", "api//datasources/proxy/1/x", "x/../api/datasources/proxy/1/x", "api/%64atasources/proxy/1/x", "API/Datasources",
        "/api/datasources/proxy/1/x", "api/admin/settings", "api/users", "api/user", "api/orgs", "api/org", "api/snapshots", "api/live/ws",
        "api/serviceaccounts", "api/annotations", "explore", "login", "logout", "metrics", "apis/x", "admin/users", "api/ruler/x",
    ):  # fmt: skip
        assert stage.get(f"/tenant-grafana/{path}", mallory)[0] == 403, path
    assert len(stage.grafana.seen) == before, "Grafana was asked"


def test_operators_tools_open_for_operators_only(stage: Stage) -> None:
    for path in ("/grafana/", "/prometheus/api/v1/query?query=up", "/alertmanager/", "/jaeger/", "/runbooks/README.md"):
        assert stage.get(path)[0] == 401
        for person, slug in (("mallory", "globex"), ("alice", "acme"), ("bob", "acme")):
            answer = stage.get(path, stage.cookie(person, slug))
            assert answer[0] == 403, (path, person)
            assert clean(answer)
    olivia = stage.cookie("olivia", "")
    assert b"# Runbooks" in stage.get("/runbooks/README.md", olivia)[2]
    assert b"424242" in stage.get(f"/prometheus/api/v1/query?query={X}", olivia)[2], "nginx knows the password"


def test_nobody_is_asked_without_a_user(stage: Stage) -> None:
    known = password(stage.secrets, "tenants")
    for headers in ({}, {"X-Grafana-User": ""}, {"x-grafana-user": " "}):
        answer = servers.fetch(f"{stage.proxy}/api/v1/query?query={X}", headers={**headers, **known})
        assert answer[0] != 200 or clean(answer)


def test_nobody_is_asked_without_a_password(stage: Stage) -> None:
    url, named = f"{stage.proxy}/api/v1/query?query={X}", {"X-Grafana-User": "globex"}
    assert b"171717" in servers.fetch(url, headers={**named, **password(stage.secrets, "tenants")})[2], (
        "the chain is dead"
    )
    for headers in ({}, servers.basic("tenants", "x"), servers.basic("globex", ""), {"Authorization": "Bearer x"}):
        assert servers.fetch(url, headers={**named, **headers})[0] == 401


def test_a_suspended_tenant_and_a_lost_session_end_within_twenty_seconds(stage: Stage) -> None:
    mallory, carol = stage.cookie("mallory", "globex"), stage.cookie("carol", "acme")
    assert stage.query(X, mallory)[0] == stage.query(X, carol)[0] == 200
    provisioning.suspend(stage.cast.globex, actor="user:olivia", reason="Unpaid")
    Client(headers={"Cookie": carol}).logout()
    Client().get("/")  # nobody else's answer renews what is kept
    from django.contrib.sessions.models import Session

    Session.objects.filter(session_key=carol.split("=")[1].split(";")[0]).delete()
    started = time.monotonic()
    servers.until(
        lambda: stage.query(X, mallory)[0] == 403 and stage.query(X, carol)[0] == 401, 22, "still open after 20 s"
    )
    assert time.monotonic() - started <= 21
    fresh = stage.cookie("mallory", "globex")
    assert stage.query(X, fresh)[0] == 403, "a new session of a suspended tenant is refused at once"
