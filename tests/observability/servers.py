"""Real servers of the observability stack for tests, on free ports of the loopback: Prometheus, nginx, prom-label-proxy, and two small ones.

What a machine lacks is said by `missing`; tests that need it skip with that sentence. Grafana itself cannot be had from a package
registry: `GrafanaStub` stands for it at the wire: it takes the identity from the signed token alone, verified by the published keys,
and asks its source with X-Grafana-User, as Grafana does with auth.jwt and send_user_header.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt

from infra.observability.as_code.known import ROOT
from portal.embedded import free_port

CONFIG = ROOT / "infra" / "observability"
TOOLS = ROOT / ".tools" / "observability"
SOURCES = {
    "prometheus": "Debian: apt-get install prometheus",
    "prometheus-alertmanager": "Debian: apt-get install prometheus-alertmanager",
    "amtool": "Debian: apt-get install prometheus-alertmanager",
    "nginx": "Debian: apt-get install nginx-light",
    "prometheus-node-exporter": "Debian: apt-get install prometheus-node-exporter",
    "prometheus-postgres-exporter": "Debian: apt-get install prometheus-postgres-exporter",
    "prometheus-redis-exporter": "Debian: apt-get install prometheus-redis-exporter",
    "prom-label-proxy": "with Go: make stack-tools",
    "otelcol": "with Go: make stack-tools",
    "jaeger": "with Go: make stack-tools",
}


def program(name: str) -> str | None:
    """Where a program is: built by `make stack-tools`, or on the PATH."""
    own = TOOLS / name
    return str(own) if own.is_file() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def missing(*names: str) -> str:
    """A sentence about what is not installed here, '' when all is there."""
    return "; ".join(f"{name} is not installed ({SOURCES[name]})" for name in names if program(name) is None)


@contextlib.contextmanager
def running(name: str, *arguments: str, ready: str, log: Path, timeout: float = 20) -> Iterator[None]:
    """A program until the block ends; the block begins when GET `ready` answers below 500."""
    with log.open("wb") as output:
        process = subprocess.Popen([program(name) or name, *arguments], stdout=output, stderr=output)
        try:
            wait_for(ready, lambda: process.poll() is None, timeout, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(url: str, alive: Callable[[], bool], timeout: float, log: Path) -> None:
    until = time.monotonic() + timeout
    while time.monotonic() < until and alive():
        with contextlib.suppress(OSError):
            if fetch(url)[0] < 500:
                return
        threading.Event().wait(0.1)
    raise RuntimeError(f"{url} does not answer: {log.read_text(errors='replace')[-2000:]}")


def fetch(
    url: str, *, data: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers in small letters, body); redirects are not followed. `user:password@` of the address is sent as a browser would."""
    parts = urllib.parse.urlsplit(url)
    known = basic(parts.username, parts.password or "") if parts.username else {}
    url = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    request = urllib.request.Request(url, data=data, headers=known | (headers or {}), method=method)
    try:
        with _OPENER.open(request, timeout=10) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()


def basic(user: str, password: str) -> dict[str, str]:
    """The header that says who asks."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def secrets(folder: Path) -> Path:
    """What infra/docker/secrets.sh makes, made in `folder` by that very script."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "infra/docker/secrets.sh", folder)
    subprocess.run(["sh", str(folder / "secrets.sh")], check=True, stdout=subprocess.DEVNULL)
    return folder / "secrets"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


class Web:
    """A small HTTP server; `answer(handler, body)` returns (status, headers, body)."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler, bytes], tuple[int, dict[str, str], bytes]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, content = answer(self, body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = _serve

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class GrafanaStub:
    """At the wire what our Grafanas are: identity by X-JWT-Assertion only; /raw?path= asks the source for anything, which is more
    than Grafana's own paths allow, so that the proxy behind it is tried too."""

    def __init__(self, audience: str, source: str, jwks: Callable[[], str], password: dict[str, str]) -> None:
        """`password`: the header that its data source is provisioned with."""
        self.audience, self.source, self.jwks, self.password = audience, source, jwks, password
        self.seen: list[dict[str, str]] = []
        self.web = Web(self._answer)

    def subject(self, token: str) -> str | None:
        try:
            keys = {key.key_id: key for key in jwt.PyJWKSet.from_json(self.jwks()).keys}
            key = keys[jwt.get_unverified_header(token)["kid"]]
            required = {"require": ["exp", "iat", "sub"]}
            claims = jwt.decode(
                token, key, algorithms=["ES256"], audience=self.audience, issuer="portal", options=required
            )  # type: ignore[arg-type]
        except (jwt.PyJWTError, KeyError, ValueError):
            return None
        return str(claims["sub"])

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.seen.append({name.lower(): value for name, value in handler.headers.items()})
        login = self.subject(handler.headers.get("X-JWT-Assertion", ""))
        if login is None:
            return 401, {}, b"no valid token"
        parts = urllib.parse.urlsplit(handler.path)
        given = urllib.parse.parse_qs(parts.query)
        headers = {"X-Grafana-User": login, **self.password}
        leaky = {"Set-Cookie": "grafana_session=x", "X-Frame-Options": "deny"}
        if parts.path.endswith("/api/ds/query"):
            query = json.loads(body)["queries"][0]["expr"]
            form = urllib.parse.urlencode({"query": query}).encode()
            status, _, content = fetch(f"{self.source}/api/v1/query", data=form, headers=headers)
        elif parts.path.endswith("/raw"):
            kind = handler.headers.get("Content-Type")
            more = {"Content-Type": kind} if kind else {}
            status, _, content = fetch(
                self.source + given["path"][0], data=body or None, headers=headers | more, method=handler.command
            )
        else:
            status, content = 200, f"panel of {login}".encode()
        return status, leaky, content


def nginx_config(folder: Path, port: int, upstreams: dict[str, str], secrets: Path | None = None) -> Path:
    """Our own configuration, copied; only addresses, the port, /tmp and /srv differ. Without `secrets` the operators' password is none."""
    shutil.copytree(CONFIG / "nginx", folder, dirs_exist_ok=True)
    password = (secrets / "operators_authorization").read_text() if secrets else ""
    (folder / "operators-authorization.conf").write_text(password)
    shutil.copy("/etc/nginx/mime.types", folder / "mime.types")
    main = (folder / "nginx.conf").read_text()
    (folder / "nginx.conf").write_text(
        main.replace("listen 8080 default_server", f"listen 127.0.0.1:{port} default_server")
        .replace("listen 8081", f"listen 127.0.0.1:{free_port()}")
        .replace("/tmp/", f"{folder}/tmp-")
        .replace("worker_processes auto", f"daemon off;\n{_user()}worker_processes 1")
    )
    (folder / "upstreams.conf").write_text(
        re.sub(
            r"upstream (\w+)\s*\{ server [^;]+;",
            lambda found: f"upstream {found[1]} {{ server {upstreams.get(found[1], '127.0.0.1:9')};",
            (folder / "upstreams.conf").read_text(),
        )
    )
    runbooks = folder / "runbooks.conf"
    runbooks.write_text(runbooks.read_text().replace("root /srv;", f"root {ROOT}/docs;"))
    return folder / "nginx.conf"


def _user() -> str:
    """Started by root, nginx would become nobody, who may not enter a test's folder."""
    return "user root;\n" if os.geteuid() == 0 else ""


@contextlib.contextmanager
def nginx(folder: Path, upstreams: dict[str, str], secrets: Path | None = None) -> Iterator[str]:
    """Our nginx; yields its address."""
    port = free_port()
    config = nginx_config(folder, port, upstreams, secrets)
    arguments = ("-p", str(folder), "-c", str(config))
    with running("nginx", *arguments, ready=f"http://127.0.0.1:{port}/metrics", log=folder / "log"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def exporters_door(folder: Path, secrets: Path, behind: dict[int, int]) -> Iterator[dict[int, str]]:
    """The nginx in front of exporters without passwords: {port of our file: port of the exporter}; yields {port of our file: address}."""
    folder.mkdir(parents=True, exist_ok=True)
    text = (CONFIG / "exporters/nginx.conf").read_text()
    text = text.replace("/tmp/", f"{folder}/tmp-").replace("/run/secrets", str(secrets))
    text = text.replace("worker_processes 1", f"daemon off;\n{_user()}worker_processes 1")
    ports = {port: free_port() for port in map(int, re.findall(r"listen (?:127.0.0.1:)?(\d+)", text))}
    for port, there in ports.items():
        text = re.sub(rf"listen (?:127.0.0.1:)?{port};", f"listen 127.0.0.1:{there};", text)
    for port, exporter in behind.items():
        text = text.replace(f"127.0.0.1:{port};", f"127.0.0.1:{exporter};")
    (folder / "nginx.conf").write_text(text)
    arguments = ("-p", str(folder), "-c", str(folder / "nginx.conf"))
    ready = f"http://127.0.0.1:{ports[9800]}/healthz"
    with running("nginx", *arguments, ready=ready, log=folder / "log"):
        yield {port: f"127.0.0.1:{there}" for port, there in ports.items()}


@contextlib.contextmanager
def collector(folder: Path, secrets: Path, jaeger: str) -> Iterator[dict[int, str]]:
    """The real collector with our configuration; only addresses, files and waiting times differ. Yields {port of our file: address}."""
    folder.mkdir(parents=True, exist_ok=True)
    text, ports = moved((CONFIG / "otel/collector.yaml").read_text(), secrets)
    text = text.replace("jaeger:4317", jaeger).replace("decision_wait: 10s", "decision_wait: 3s")
    text = text.replace("metrics_flush_interval: 15s", "metrics_flush_interval: 1s").replace(
        "interval: 15000", "interval: 1000"
    )
    (folder / "collector.yaml").write_text(text)
    ready = f"http://{ports[13133]}/"
    with running("otelcol", f"--config={folder}/collector.yaml", ready=ready, log=folder / "log", timeout=60):
        yield ports


def moved(text: str, secrets: Path) -> tuple[str, dict[int, str]]:
    """The configuration with its secrets elsewhere and every port that it listens on a free one of the loopback; {port: address}."""
    found = sorted({int(port) for port in re.findall(r"(?:0\.0\.0\.0|127\.0\.0\.1):(\d+)", text)})
    ports = {port: f"127.0.0.1:{free_port()}" for port in found}
    for port, address in ports.items():
        text = re.sub(rf"(?:0\.0\.0\.0|127\.0\.0\.1):{port}\b", f"MOVED-{address}", text)
    return text.replace("MOVED-", "").replace("/run/secrets", str(secrets)), ports


@contextlib.contextmanager
def prometheus(folder: Path, config: str, *more: str) -> Iterator[str]:
    """A Prometheus with that configuration; yields its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    arguments = (
        f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}", *more,
    )  # fmt: skip
    with running("prometheus", *arguments, ready=f"http://127.0.0.1:{port}/-/ready", log=folder / "log"):
        yield f"http://127.0.0.1:{port}"


def ask(prometheus_url: str, expr: str) -> list[dict[str, Any]]:
    """The instant query's result."""
    url = f"{prometheus_url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}"
    status, _, body = fetch(url)
    if status != 200:
        raise RuntimeError(f"{expr}: {body.decode()}")
    found: list[dict[str, Any]] = json.loads(body)["data"]["result"]
    return found


def until(what: Callable[[], Any], timeout: float = 30, message: str = "") -> Any:
    """The first truthy answer; AssertionError when time is over."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        threading.Event().wait(0.2)
    raise AssertionError(message or f"not within {timeout} s")
