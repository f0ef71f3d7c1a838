"""S3 against moto's server: versions, unfinished uploads, inventories, deadlines, and stores that do not answer."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from dataclasses import replace
from datetime import timedelta

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from metering.collectors.storage.buckets import Listing, NotFinishedError, S3Collector
from metering.models import CollectorState
from tests.metering.collectors.conftest import START


@pytest.fixture
def store(monkeypatch):
    """An empty S3 and its client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    httpx.post(f"http://{host}:{port}/moto-api/reset")
    yield client
    server.stop()


@pytest.fixture
def collector(store):
    store.create_bucket(Bucket="acme-data")
    return S3Collector(
        "buckets", "node-1", {"acme-data": "acme"}, endpoint=store.meta.endpoint_url, region="us-east-1", tenants={"acme"}
    )  # fmt: skip


def run(collector, after: float = 0, seconds: float = 60):
    return collector.collect(START + timedelta(seconds=after), time.monotonic() + seconds)


def test_every_version_and_every_part_counts(store, collector):
    store.put_bucket_versioning(Bucket="acme-data", VersioningConfiguration={"Status": "Enabled"})
    store.put_object(Bucket="acme-data", Key="scan", Body=b"x" * 1000)
    store.put_object(Bucket="acme-data", Key="scan", Body=b"x" * 300)
    store.put_object(Bucket="acme-data", Key="gone", Body=b"x" * 50)
    store.delete_object(Bucket="acme-data", Key="gone")
    upload = store.create_multipart_upload(Bucket="acme-data", Key="big")["UploadId"]
    store.upload_part(Bucket="acme-data", Key="big", UploadId=upload, PartNumber=1, Body=b"x" * 7000)
    found = run(collector)

    assert found.state == CollectorState.OK, found.detail
    (event,) = found.events
    assert (event.tenant, event.type, event.quantity_micro) == ("acme", "storage_bytes", 8350 * 10**6)
    assert found.readings["volumes"]["acme-data"] == {
        "tenant": "acme", "bytes": 8350, "stale": False, "current": 300, "older": 1050, "multipart": 7000, "objects": 3, "uploads": 1,
    }  # fmt: skip


def test_reading_again_in_the_same_interval_gives_the_same_id(store, collector):
    assert [event.id for event in run(collector).events] == [event.id for event in run(collector, 60).events]


@pytest.mark.parametrize("versions", [True, False])
def test_a_listing_goes_on_where_it_stopped(store, collector, monkeypatch, versions):
    for number in range(25):
        store.put_object(Bucket="acme-data", Key=f"{number:03}", Body=b"x" * (number + 1))
    few = {"list_object_versions": store.list_object_versions, "list_objects_v2": store.list_objects_v2}
    for name, call in few.items():
        monkeypatch.setattr(store, name, lambda call=call, **given: call(MaxKeys=10, **given))
    state: dict = {}
    pages = 0
    while True:
        walk = Listing(store, "acme-data", json.loads(json.dumps(state)), time.monotonic() + 60, versions, True)
        walk.in_time = _one_page()  # type: ignore[method-assign]
        try:
            walk.run()
            break
        except NotFinishedError:
            state, pages = walk.state, pages + 1

    assert pages >= 3
    assert (walk.size, walk.state["objects"]) == (sum(range(1, 26)), 25)


def _one_page():
    asked = []

    def in_time() -> None:
        asked.append(True)
        if len(asked) > 1:
            raise NotFinishedError

    return in_time


def test_a_deadline_is_a_gap_and_what_was_known_is_shown_as_stale(store, collector):
    store.put_object(Bucket="acme-data", Key="scan", Body=b"x" * 10)
    first = run(collector)
    late = run(replace(collector, memory=first.memory), 3600, seconds=0)

    assert (late.state, late.events) == (CollectorState.UNAVAILABLE, ())
    assert [(gap.subject, gap.starts_at) for gap in late.gaps] == [("acme-data", START)]
    assert late.readings["volumes"]["acme-data"]["stale"] is True
    assert run(replace(collector, memory=late.memory), 7200).events[0].quantity_micro == 10 * 10**6


def test_a_bucket_that_is_not_there_or_not_ours_is_a_gap_never_a_zero(collector):
    found = run(replace(collector, buckets={"acme-data": "acme", "nobody": "acme"}))

    assert [(gap.subject, gap.tenant) for gap in found.gaps] == [("nobody", "acme")]
    assert "NoSuchBucket" in found.detail
    assert [event.dims["bucket"] for event in found.events] == ["acme-data"]


def test_a_store_that_accepts_and_says_nothing_is_left(collector):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        taken: list = []
        threading.Thread(target=lambda: [taken.append(silent.accept()) for _ in range(4)], daemon=True).start()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        found = run(replace(collector, endpoint=endpoint, request_timeout_seconds=1))

    assert found.state == CollectorState.UNAVAILABLE
    assert "Timeout" in found.detail
    assert time.monotonic() - started < 30


def with_inventory(store, at, sizes=(100, 200), prefix="acme-data/daily"):
    if "inventories" not in [bucket["Name"] for bucket in store.list_buckets()["Buckets"]]:
        store.create_bucket(Bucket="inventories")
    rows = "".join(f'"acme-data","key{number}","v","true","false","{size}"\n' for number, size in enumerate(sizes))
    rows += '"acme-data","gone","v","true","true",""\n'
    folder = f"{prefix}/{at:%Y-%m-%dT%H-%MZ}"
    store.put_object(Bucket="inventories", Key=f"{folder}/data.csv.gz", Body=gzip.compress(rows.encode()))
    manifest = {
        "sourceBucket": "acme-data", "fileFormat": "CSV", "creationTimestamp": str(int(at.timestamp() * 1000)),
        "fileSchema": "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size", "files": [{"key": f"{folder}/data.csv.gz"}],
    }  # fmt: skip
    store.put_object(Bucket="inventories", Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())


@pytest.fixture
def inventoried(collector):
    return replace(collector, inventory={"acme-data": "inventories/acme-data/daily"})


def test_the_newest_inventory_is_read_at_its_own_time_and_once(store, inventoried):
    with_inventory(store, START - timedelta(days=1), sizes=(7,))
    with_inventory(store, START - timedelta(hours=3))
    found = run(inventoried)

    (event,) = found.events
    assert (event.quantity_micro, event.time) == (300 * 10**6, (START - timedelta(hours=3)).replace(second=20))
    again = run(replace(inventoried, memory=found.memory), 3600)
    assert (again.events, again.gaps, again.state) == ((), (), CollectorState.OK)


def test_an_old_inventory_is_stale(store, inventoried):
    with_inventory(store, START - timedelta(days=3))
    found = run(inventoried)

    assert (found.events, found.state) == ((), CollectorState.UNAVAILABLE)
    assert "newest inventory is of 2026-07-12" in found.detail


def test_without_boto3_it_says_what_to_install(collector, monkeypatch):
    monkeypatch.setattr("metering.collectors.storage.buckets.boto3", None)

    assert "the extra `s3`" in run(collector).detail
