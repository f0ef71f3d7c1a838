from __future__ import annotations

import importlib.util
import json
import os
import threading
import urllib.request

import pytest
import yaml

from metering.models import Reservation
from tests.clients.conftest import ROOT

EXAMPLE = ROOT / "infra" / "examples" / "kubernetes"


@pytest.fixture
def module():
    spec = importlib.util.spec_from_file_location("admission", EXAMPLE / "admission.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def admission(module, portal, tmp_path):
    (tmp_path / "team-a").write_text(os.environ["AURELIUS_API_KEY"])
    return module.Admission(portal, tmp_path, default_model="H100")


def review(gpus: int = 2, operation: str = "CREATE", namespace: str = "team-a", dry_run: bool = False, **notes: str):
    """As the API server sends it."""
    pod = {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "train-0", "namespace": namespace, "uid": "7a1c", "annotations": notes},
        "spec": {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}}}]},
    }  # fmt: skip
    which = {"object": pod, "oldObject": None} if operation == "CREATE" else {"object": None, "oldObject": pod}
    request = {"uid": "705ab4f5", "operation": operation, "namespace": namespace, "name": "train-0", "dryRun": dry_run}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | which}


def answer(admission, document) -> dict:
    found = admission.review(json.loads(json.dumps(document)))
    assert (found["apiVersion"], found["kind"], found["response"]["uid"]) == (
        "admission.k8s.io/v1", "AdmissionReview", "705ab4f5",
    )  # fmt: skip
    return found["response"]


def test_from_admission_to_deletion(admission, only):
    notes = {"aurelius.example/expected-hours": "12", "aurelius.example/project": "mammo"}
    for _ in range(2):  # the API server may review again
        allowed = answer(admission, review(**notes))
        assert allowed["allowed"]
    assert allowed["auditAnnotations"]["reservation"] == str(only().public_id)
    assert (only().gpus, only().labels) == (2, {"pod": "team-a/train-0", "project": "mammo"})
    before = only().heartbeat_at
    admission.heartbeats()
    assert only().heartbeat_at > before
    assert answer(admission, review(operation="DELETE"))["allowed"]
    assert only().state == "settled"


def test_a_restarted_webhook_knows_what_is_held(admission, only):
    answer(admission, review())
    admission.held.clear()
    admission.recover()
    answer(admission, review(operation="DELETE"))
    assert only().state == "settled"


def test_what_does_not_fit_is_refused_with_the_reason(admission):
    refused = answer(admission, review(**{"aurelius.example/expected-hours": "51"}))
    assert (refused["allowed"], refused["status"]["code"]) == (False, 403)
    assert "do not fit" in refused["status"]["message"]
    assert "/t/acme/quotas" in refused["status"]["message"]


@pytest.mark.parametrize(
    ("document", "allowed"),
    [
        (review(gpus=0), True),
        (review(dry_run=True), True),
        (review(namespace="stranger"), False),
        (review(namespace="../team-a"), False),
        (review(**{"aurelius.example/expected-hours": "soon"}), False),
    ],
)
def test_without_gpus_or_in_a_dry_run_nothing_is_reserved(admission, document, allowed):
    assert answer(admission, document)["allowed"] is allowed
    assert not Reservation.objects.exists()


@pytest.mark.parametrize("fail_open", [True, False])
def test_a_portal_that_is_away_follows_the_policy(module, tmp_path, fail_open):
    (tmp_path / "team-a").write_text("gpk_test")
    admission = module.Admission("http://127.0.0.1:9", tmp_path, default_model="H100", fail_open=fail_open)
    assert answer(admission, review())["allowed"] is fail_open


def test_it_is_served_over_http(module, admission):
    server = module.serve(admission, ("127.0.0.1", 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/validate?timeout=10s"
    try:
        sent = urllib.request.Request(url, json.dumps(review()).encode(), {"Content-Type": "application/json"})
        assert json.load(urllib.request.urlopen(sent, timeout=30))["response"]["allowed"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=30)
    finally:
        server.shutdown()
        server.server_close()


def test_the_manifest_asks_for_what_the_webhook_answers():
    hook, *_ = yaml.safe_load_all((EXAMPLE / "webhook.yaml").read_text())
    (only,) = hook["webhooks"]
    assert only["rules"][0]["operations"] == ["CREATE", "DELETE"]
    assert only["sideEffects"] == "NoneOnDryRun"
    assert only["clientConfig"]["service"]["path"] == "/validate"
