"""A validating admission webhook: a pod that asks for GPUs starts only when its namespace's tenant may hold them.

    POST /validate   an AdmissionReview (admission.k8s.io/v1) for CREATE and DELETE of pods, and UPDATE of their status
    GET  /healthz    200

CREATE reserves under the pod's uid as Idempotency-Key, so that a repeated review reserves once. A status in which the pod has ended, or
its deletion, settles. The namespace's tenant is the one whose key lies in KEYS/<namespace>. Heartbeats are sent for pods of which a status was
seen: one that something else refused after this webhook never has any, and its reservation lapses with nothing billed. What is held is
known to the portal, under the label `pod`: a webhook that was restarted reads it from there. Standard library and the `aurelius` client.
"""

from __future__ import annotations

import json
import logging
import os
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aurelius import Client, Problem, Refused, Reservation, Unavailable

RESOURCE = os.environ.get("AURELIUS_GPU_RESOURCE", "nvidia.com/gpu")
MIG = re.compile(r"\Anvidia\.com/mig-(?:\d+c\.)?(\d+)g\.")
SLICES = int(os.environ.get("AURELIUS_MIG_SLICES", "7"))
"""Of a whole GPU; an A30 has 4."""
MODEL_LABEL = "nvidia.com/gpu.product"
HOURS = "aurelius.example/expected-hours"
PROJECT = "aurelius.example/project"
MODEL = "aurelius.example/gpu-model"
LARGEST_REVIEW = 3 * 1024 * 1024

ENDED = frozenset({"Succeeded", "Failed"})

log = logging.getLogger("aurelius.admission")


@dataclass
class Held:
    """A pod's reservation. `alive`: the pod is known to be there, not only to have been asked for."""

    namespace: str
    id: str
    alive: bool = False


class Admission:
    """Answers reviews. `keys` is a folder with one file a namespace; pods of other namespaces with GPUs are refused."""

    def __init__(
        self, url: str, keys: Path, *, default_hours: str = "8", default_model: str = "", fail_open: bool = False
    ) -> None:
        self.url, self.keys, self.fail_open = url, keys, fail_open
        self.default_hours, self.default_model = default_hours, default_model
        self.held: dict[str, Held] = {}
        self._lock = threading.Lock()

    def review(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The AdmissionReview that answers this one. Raises KeyError, TypeError, AttributeError or ValueError for what is none."""
        request = document["request"]
        answer: dict[str, Any] = {"allowed": True}
        if request["operation"] == "DELETE":
            self._deleted(request)
        elif request.get("subResource") == "status":
            self._has_status(request)
        elif request["operation"] == "CREATE":
            answer = self._reserve(request)
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": request["uid"], **answer},
        }

    def _reserve(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pod, namespace = request["object"], request["namespace"]
        wanted = gpus_of(pod)
        if not wanted:
            return {"allowed": True}
        if len(wanted) > 1:
            return _no(403, f"Ask for one kind of GPU in a pod, not for {' and '.join(sorted(wanted))}.")
        if request.get("dryRun"):
            return {"allowed": True, "warnings": ["Dry run: the GPUs were not reserved."]}
        try:
            made = Reservation.make(
                self._client(namespace), idempotency_key=_key(request), **self._job(pod, namespace, wanted)
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
            self.held[_pod(pod, namespace)] = Held(namespace, made.id)
        left = made.data["left"]["gpu_hours"]
        note = f"{made.data['asked']['amount']} {made.data['currency']} estimated; {'unlimited' if left is None else left} GPU hours left."
        return {"allowed": True, "auditAnnotations": {"reservation": made.id}, "warnings": [note]}

    def _has_status(self, request: Mapping[str, Any]) -> None:
        pod = request["object"]
        name = _pod(pod, request["namespace"])
        if request.get("dryRun") or name not in self.held:
            return
        if (pod.get("status") or {}).get("phase") in ENDED:
            self._settle(name)
        else:
            with self._lock:
                if name in self.held:
                    self.held[name].alive = True

    def _deleted(self, request: Mapping[str, Any]) -> None:
        """A pod on a node is deleted twice: when it is told to end, with a time of grace, and when it has."""
        pod = request.get("oldObject") or {}
        if request.get("dryRun") or not gpus_of(pod):
            return
        grace = (request.get("options") or {}).get("gracePeriodSeconds")
        on_a_node = (pod.get("spec") or {}).get("nodeName")
        if grace == 0 or not on_a_node or (pod.get("status") or {}).get("phase") in ENDED:
            self._settle(_pod(pod, request["namespace"]))

    def _settle(self, name: str) -> None:
        with self._lock:
            found = self.held.pop(name, None)
        if found is not None:
            try:
                Reservation(self._client(found.namespace), {"id": found.id}).settle()
            except (Problem, Unavailable, LookupError) as error:  # it lapses by itself
                log.error("%s could not be settled: %s", found.id, error)

    def recover(self) -> None:
        """Learn from the portal what pods hold; for a start. One that had a heartbeat is a pod that was seen."""
        for file in sorted(self.keys.iterdir()):
            if file.name.startswith("."):  # a mounted secret has ..data beside its entries
                continue
            try:
                for row in self._held_by(file.name):
                    alive = row["heartbeat_at"] != row["started_at"]
                    with self._lock:
                        self.held[row["labels"]["pod"]] = Held(file.name, row["id"], alive)
            except (Problem, Unavailable, LookupError) as error:
                log.warning("nothing is known of what %s holds: %s", file.name, error)

    def _held_by(self, namespace: str) -> Iterator[dict[str, Any]]:
        number, more = 1, True
        while more:
            page = self._client(namespace).get(f"reservations?state=held&page_size=500&page={number}")
            yield from (row for row in page["results"] if "pod" in row["labels"])
            number, more = number + 1, page["next"] is not None

    def heartbeats(self) -> None:
        """One for every pod that holds GPUs; call it every minute."""
        for name, held in list(self.held.items()):
            if not held.alive:
                continue
            try:
                Reservation(self._client(held.namespace), {"id": held.id}).heartbeat()
            except Problem as problem:
                log.warning("no heartbeat for %s: %s", held.id, problem)
                if problem.status in (404, 409):  # it has ended, which no heartbeat changes
                    with self._lock:
                        self.held.pop(name, None)
            except (Unavailable, LookupError) as error:
                log.warning("no heartbeat for %s: %s", held.id, error)

    def _client(self, namespace: str) -> Client:
        file = self.keys / namespace
        if "/" in namespace or not file.is_file():
            raise LookupError(namespace)
        return Client(self.url, file.read_text().strip(), timeout=3, attempts=2)

    def _job(self, pod: Mapping[str, Any], namespace: str, wanted: Mapping[str, int]) -> dict[str, Any]:
        notes = pod.get("metadata", {}).get("annotations") or {}
        product = (pod.get("spec", {}).get("nodeSelector") or {}).get(MODEL_LABEL, "")
        labels = {"pod": _pod(pod, namespace)} | ({"project": notes[PROJECT]} if PROJECT in notes else {})
        ((resource, count),) = wanted.items()
        return {
            "gpus": count,
            "fraction": f"{float(part_of(resource)):.4f}",
            "gpu_model": notes.get(MODEL) or product or self.default_model,
            "expected_hours": notes.get(HOURS, self.default_hours),
            "labels": labels,
        }


def part_of(resource: str) -> Fraction:
    """The part of a GPU that one of the resource is: nvidia.com/mig-3g.20gb is 3 of 7 slices."""
    instance = MIG.match(resource)
    return Fraction(min(int(instance[1]), SLICES), SLICES) if instance else Fraction(1)


def gpus_of(pod: Mapping[str, Any]) -> dict[str, int]:
    """What the pod's containers hold at once, by resource: all containers and sidecars together, or an init container with the sidecars
    that run before it, whichever is most."""
    spec = pod.get("spec") or {}
    together, most = _asked(spec.get("containers")), dict[str, int]()
    sidecars = dict[str, int]()
    for init in spec.get("initContainers") or ():
        own = _sum(_asked([init]), sidecars)
        if init.get("restartPolicy") == "Always":
            sidecars = own
        most = {name: max(most.get(name, 0), own.get(name, 0)) for name in most | own}
    together = _sum(together, sidecars)
    found = {name: max(together.get(name, 0), most.get(name, 0)) for name in together | most}
    return {name: count for name, count in found.items() if count}


def _asked(containers: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for container in containers or ():
        for name, count in ((container.get("resources") or {}).get("limits") or {}).items():
            if name == RESOURCE or MIG.match(name):
                found[name] = found.get(name, 0) + int(count)
    return found


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


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

        def do_GET(self) -> None:
            self._answer(200 if self.path == "/healthz" else 404, b"{}")

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            try:
                if self.path.split("?")[0] != "/validate" or not 0 < length <= LARGEST_REVIEW:
                    raise ValueError
                answer = json.dumps(admission.review(json.loads(self.rfile.read(length)))).encode()
                status = 200
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                status, answer = 400, b"{}"
            self._answer(status, answer)

        def _answer(self, status: int, answer: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            log.info(format, *args)

    server = ThreadingHTTPServer(address, Handler)
    if context:
        # The handshake belongs to the connection's own thread and its timeout: a client that stalls in it keeps nobody else waiting.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
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
