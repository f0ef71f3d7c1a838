"""A validating admission webhook: a pod that asks for GPUs starts only when its namespace's tenant may hold them.

    POST /validate   an AdmissionReview (admission.k8s.io/v1) for CREATE and DELETE of pods

CREATE reserves under the pod's uid as Idempotency-Key, so that a repeated review reserves once; DELETE settles. The namespace's tenant is
the one whose key lies in KEYS/<namespace>. What is held is known to the portal, under the label `pod`: a webhook that was restarted reads it
from there. Standard library and the `aurelius` client.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aurelius import Client, Problem, Refused, Reservation, Unavailable

RESOURCE = os.environ.get("AURELIUS_GPU_RESOURCE", "nvidia.com/gpu")
MODEL_LABEL = "nvidia.com/gpu.product"
HOURS = "aurelius.example/expected-hours"
PROJECT = "aurelius.example/project"
MODEL = "aurelius.example/gpu-model"
LARGEST_REVIEW = 3 * 1024 * 1024

log = logging.getLogger("aurelius.admission")


class Admission:
    """Answers reviews. `keys` is a folder with one file a namespace; pods of other namespaces with GPUs are refused."""

    def __init__(
        self, url: str, keys: Path, *, default_hours: str = "8", default_model: str = "", fail_open: bool = False
    ) -> None:
        self.url, self.keys, self.fail_open = url, keys, fail_open
        self.default_hours, self.default_model = default_hours, default_model
        self.held: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def review(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The AdmissionReview that answers this one. Raises KeyError or TypeError for what is none."""
        request = document["request"]
        if request["operation"] == "DELETE":
            self._settle(request)
            answer: dict[str, Any] = {"allowed": True}
        else:
            answer = self._reserve(request)
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": request["uid"], **answer},
        }

    def _reserve(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pod, namespace = request["object"], request["namespace"]
        gpus = gpus_of(pod)
        if not gpus:
            return {"allowed": True}
        if request.get("dryRun"):
            return {"allowed": True, "warnings": ["Dry run: the GPUs were not reserved."]}
        try:
            made = Reservation.make(
                self._client(namespace), idempotency_key=_key(request), **self._job(pod, namespace, gpus)
            )
        except Refused as refusal:
            return _no(403, f"{refusal} Ask for more at {refusal.more_url}." if refusal.more_url else str(refusal))
        except Problem as problem:
            return _no(400, str(problem))
        except LookupError:
            return _no(403, f"The namespace {namespace} belongs to no tenant: it may not ask for GPUs.")
        except Unavailable as error:
            log.error("the portal cannot be asked: %s", error)
            if self.fail_open:
                return {
                    "allowed": True,
                    "warnings": ["The GPUs could not be reserved; what is held is billed as measured."],
                }
            return _no(503, "GPU reservations cannot be checked right now. Try again shortly.")
        with self._lock:
            self.held[_pod(pod, namespace)] = (namespace, made.id)
        left = made.data["left"]["gpu_hours"]
        note = f"{made.data['asked']['amount']} {made.data['currency']} estimated; {'unlimited' if left is None else left} GPU hours left."
        return {"allowed": True, "auditAnnotations": {"reservation": made.id}, "warnings": [note]}

    def _settle(self, request: Mapping[str, Any]) -> None:
        pod = request.get("oldObject") or {}
        if request.get("dryRun") or not gpus_of(pod):
            return
        with self._lock:
            found = self.held.pop(_pod(pod, request["namespace"]), None)
        if found is not None:
            try:
                Reservation(self._client(found[0]), {"id": found[1]}).settle()
            except (Problem, Unavailable, LookupError) as error:  # it lapses by itself
                log.error("%s could not be settled: %s", found[1], error)

    def recover(self) -> None:
        """Learn from the portal what pods hold; for a start."""
        for file in sorted(self.keys.iterdir()):
            try:
                page = self._client(file.name).get("reservations?state=held&page_size=500")
            except (Problem, Unavailable, LookupError) as error:
                log.warning("nothing is known of what %s holds: %s", file.name, error)
                continue
            rows = [row for row in page["results"] if "pod" in row["labels"]]
            with self._lock:
                self.held.update({row["labels"]["pod"]: (file.name, row["id"]) for row in rows})

    def heartbeats(self) -> None:
        """One for every pod that holds GPUs; call it every minute."""
        for name, (namespace, id) in list(self.held.items()):
            try:
                Reservation(self._client(namespace), {"id": id}).heartbeat()
            except Problem:
                self.held.pop(name, None)
            except (Unavailable, LookupError) as error:
                log.warning("no heartbeat for %s: %s", id, error)

    def _client(self, namespace: str) -> Client:
        file = self.keys / namespace
        if "/" in namespace or not file.is_file():
            raise LookupError(namespace)
        return Client(self.url, file.read_text().strip(), timeout=3, attempts=2)

    def _job(self, pod: Mapping[str, Any], namespace: str, gpus: int) -> dict[str, Any]:
        notes = pod.get("metadata", {}).get("annotations") or {}
        wanted = (pod.get("spec", {}).get("nodeSelector") or {}).get(MODEL_LABEL, "")
        labels = {"pod": _pod(pod, namespace)} | ({"project": notes[PROJECT]} if PROJECT in notes else {})
        return {
            "gpus": gpus,
            "gpu_model": notes.get(MODEL) or wanted or self.default_model,
            "expected_hours": notes.get(HOURS, self.default_hours),
            "labels": labels,
        }


def gpus_of(pod: Mapping[str, Any]) -> int:
    """GPUs that the pod's containers hold at once: all containers together, or the init container that asks for most."""
    spec = pod.get("spec", {})

    def asked(container: Mapping[str, Any]) -> int:
        return int(((container.get("resources") or {}).get("limits") or {}).get(RESOURCE, 0))

    together = sum(asked(each) for each in spec.get("containers", ()))
    return max([together, *(asked(each) for each in spec.get("initContainers") or ())])


def _key(request: Mapping[str, Any]) -> str:
    return f"k8s-{request['object'].get('metadata', {}).get('uid') or request['uid']}"


def _pod(pod: Mapping[str, Any], namespace: str) -> str:
    meta = pod.get("metadata", {})
    return f"{namespace}/{meta.get('name') or meta.get('generateName', '')}"[:120]


def _no(code: int, message: str) -> dict[str, Any]:
    return {"allowed": False, "status": {"code": code, "message": message}}


def serve(admission: Admission, address: tuple[str, int], context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    """An HTTP server (with TLS when `context` is given) that answers POST /validate; the caller runs it."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            try:
                if self.path.split("?")[0] != "/validate" or not 0 < length <= LARGEST_REVIEW:
                    raise ValueError
                answer = json.dumps(admission.review(json.loads(self.rfile.read(length)))).encode()
                status = 200
            except (ValueError, KeyError, TypeError):
                status, answer = 400, b"{}"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            log.info(format, *args)

    server = ThreadingHTTPServer(address, Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def main() -> None:
    """Settings: AURELIUS_URL, AURELIUS_KEYS (folder), TLS_CERT, TLS_KEY, PORT, AURELIUS_GPU_MODEL, AURELIUS_FAIL=open|closed."""
    logging.basicConfig(level=logging.INFO)
    admission = Admission(
        os.environ["AURELIUS_URL"],
        Path(os.environ.get("AURELIUS_KEYS", "/etc/aurelius/keys")),
        default_model=os.environ.get("AURELIUS_GPU_MODEL", ""),
        fail_open=os.environ.get("AURELIUS_FAIL", "closed") == "open",
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    stop = threading.Event()
    admission.recover()

    def beat() -> None:
        while not stop.wait(60):
            admission.heartbeats()

    threading.Thread(target=beat, daemon=True).start()
    serve(admission, ("", int(os.environ.get("PORT", "8443"))), context).serve_forever()


if __name__ == "__main__":
    main()
