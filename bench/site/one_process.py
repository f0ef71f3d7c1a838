"""Run in a process of its own: call the WSGI handler directly and print what a request costs, as JSON."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.site.wsgi import application


def call(text: str) -> str:
    """One GET; the status."""
    seen: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/v1/x",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {text}",
        "wsgi.input": io.BytesIO(),
        "wsgi.url_scheme": "http",
    }

    def start_response(status: str, headers: Any, error: Any = None) -> Callable[[bytes], object]:
        seen.append(status[:3])
        return lambda data: None

    response = application(environ, start_response)
    for _ in response:
        pass
    response.close()
    return seen[0]


def main() -> None:
    texts = sys.stdin.read().split()
    requests = int(sys.argv[1])
    for text in texts[:300]:
        call(text)
    took, refused = [], 0
    for number in range(requests):
        started = time.perf_counter()
        refused += call(texts[number % len(texts)]) != "200"
        took.append(time.perf_counter() - started)
    took.sort()
    result = {"p50": took[len(took) // 2] * 1e6, "p99": took[int(len(took) * 0.99)] * 1e6, "refused": refused}
    print(json.dumps(result))


main()
