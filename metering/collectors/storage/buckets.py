"""Storage in S3-compatible buckets: every version of every object, and what unfinished uploads have left behind.

A bucket is listed page by page; a listing that does not end within the deadline goes on in the next run. Large buckets are better read from
the inventory that the store writes daily, whose reading is as old as the inventory says. boto3 is optional (the extra `s3`).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

from ..base import Collected, unavailable
from .volumes import Readings

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    boto3 = None
    BotoCoreError = ClientError = OSError

FAILURES = (BotoCoreError, ClientError, TimeoutError, OSError, ValueError, KeyError)


class NotFinishedError(TimeoutError):
    """The deadline came first."""


@dataclass(frozen=True)
class S3Collector:
    """See the module. `buckets` says whose each bucket is; `inventory` from where to read a bucket's: {bucket: "destination/prefix"}."""

    name: str
    node: str
    buckets: Mapping[str, str]
    endpoint: str = ""
    region: str = ""
    profile: str = ""
    versions: bool = True
    multipart: bool = True
    inventory: Mapping[str, str] = field(default_factory=dict)
    stale_after_seconds: int = 172_800
    interval_seconds: int = 3600
    timeout_seconds: int = 300
    request_timeout_seconds: int = 20
    tenants: Collection[str] = frozenset()
    memory: Mapping[str, Any] = field(default_factory=dict)

    kind = "s3"
    meter = "storage_gb"

    def collect(self, now: datetime, deadline: float) -> Collected:
        """See base.Collector."""
        if boto3 is None:
            return unavailable("boto3 is not installed: install the portal with the extra `s3`.", memory=self.memory)
        try:
            client = self._client()
        except FAILURES as error:
            return unavailable(f"S3: {error}", memory=self.memory)
        found = Readings(self.interval_seconds, now, self.memory, "bucket")
        walks: dict[str, Any] = {}
        mine = {bucket: slug for bucket, slug in self.buckets.items() if slug in self.tenants}
        unfinished = self.memory.get("walks", {})
        for bucket, slug in sorted(mine.items(), key=lambda item: self._order(found, unfinished, item[0])):
            walk = Listing(client, bucket, dict(unfinished.get(bucket, {})), deadline, self.versions, self.multipart)
            try:
                if bucket in self.inventory:
                    self._from_inventory(found, client, bucket, slug, walk)
                else:
                    walk.run()
                    found.read(slug, bucket, walk.size, **walk.counts())
            except NotFinishedError:
                walks[bucket] = walk.state
                said = f"not finished within {self.timeout_seconds} s: {walk.state.get('objects', 0)} objects so far"
                found.missed(slug, bucket, said)
            except FAILURES as error:
                found.missed(slug, bucket, _said(error))
        return found.answer(walks=walks)

    def _order(self, found: Readings, unfinished: Mapping[str, Any], bucket: str) -> tuple[bool, str, str]:
        """Unfinished listings first, then who has waited longest."""
        return bucket not in unfinished, found.known.get(bucket, {}).get("at", ""), bucket

    def _client(self) -> Any:
        session = boto3.Session(profile_name=self.profile or None, region_name=self.region or None)
        settings = Config(
            connect_timeout=self.request_timeout_seconds,
            read_timeout=self.request_timeout_seconds,
            retries={"total_max_attempts": 2, "mode": "standard"},
        )
        return session.client("s3", endpoint_url=self.endpoint or None, config=settings)

    def _from_inventory(self, found: Readings, client: Any, bucket: str, slug: str, walk: Listing) -> None:
        store, _, prefix = self.inventory[bucket].partition("/")
        manifest = _newest_manifest(client, store, prefix, walk)
        at = datetime.fromtimestamp(int(manifest["creationTimestamp"]) / 1000, UTC)
        if found.now - at > timedelta(seconds=self.stale_after_seconds):
            found.missed(slug, bucket, f"its newest inventory is of {at:%Y-%m-%d %H:%M} UTC")
            return
        known = found.known.get(bucket)
        if known and datetime.fromisoformat(known["at"]) >= at:  # read already; what is known goes on
            found.covered.add(bucket)
            found.shown[bucket] = {**known, "stale": False}
            return
        size, objects = 0, 0
        for length in _inventory_sizes(client, store, manifest, walk):
            size, objects = size + length, objects + 1
        if self.multipart:  # an inventory does not list them
            walk.uploads()
        found.read(
            slug, bucket, size + walk.state.get("multipart", 0), at=at, objects=objects, inventory=at.isoformat()
        )


class Listing:
    """A walk through a bucket that can stop and go on. `state` is JSON."""

    def __init__(
        self, client: Any, bucket: str, state: dict[str, Any], deadline: float, versions: bool, multipart: bool
    ) -> None:
        self.client, self.bucket, self.deadline = client, bucket, deadline
        self.versions, self.multipart = versions, multipart
        self.state = state or {"current": 0, "older": 0, "multipart": 0, "objects": 0, "uploads": 0}

    @property
    def size(self) -> int:
        return int(self.state["current"] + self.state["older"] + self.state["multipart"])

    def counts(self) -> dict[str, Any]:
        """What the size is made of."""
        return {name: self.state[name] for name in ("current", "older", "multipart", "objects", "uploads")}

    def run(self) -> None:
        """All of it. Raises NotFinishedError when the deadline comes first; `state` then says where to go on."""
        if not self.state.get("listed"):
            self._versions() if self.versions else self._objects()
            self.state["listed"] = True
        if self.multipart:
            self.uploads()

    def in_time(self) -> None:
        """Raises NotFinishedError once the deadline has come."""
        if time.monotonic() >= self.deadline:
            raise NotFinishedError

    def _objects(self) -> None:
        while True:
            self.in_time()
            going_on = {"ContinuationToken": self.state["token"]} if "token" in self.state else {}
            page = self.client.list_objects_v2(Bucket=self.bucket, **going_on)
            for each in page.get("Contents", ()):
                self.state["current"] += each["Size"]
                self.state["objects"] += 1
            if not page.get("IsTruncated"):
                return
            self.state["token"] = page["NextContinuationToken"]

    def _versions(self) -> None:
        while True:
            self.in_time()
            going_on = {}
            if "key" in self.state:
                going_on = {"KeyMarker": self.state["key"], "VersionIdMarker": self.state["version"]}
            page = self.client.list_object_versions(Bucket=self.bucket, **going_on)
            for each in page.get("Versions", ()):
                self.state["current" if each["IsLatest"] else "older"] += each["Size"]
                self.state["objects"] += 1
            if not page.get("IsTruncated"):
                return
            self.state |= {"key": page["NextKeyMarker"], "version": page.get("NextVersionIdMarker", "")}

    def uploads(self) -> None:
        """Parts of uploads that were never completed; they take room and no list of objects shows them."""
        while True:
            self.in_time()
            going_on = {}
            if "upload_key" in self.state:
                going_on = {"KeyMarker": self.state["upload_key"], "UploadIdMarker": self.state["upload"]}
            page = self.client.list_multipart_uploads(Bucket=self.bucket, **going_on)
            for each in page.get("Uploads", ()):
                size = self._parts(each["Key"], each["UploadId"])
                self.state["multipart"] += size
                self.state["uploads"] += 1
                self.state |= {"upload_key": each["Key"], "upload": each["UploadId"]}
            if not page.get("IsTruncated"):
                return
            self.state |= {"upload_key": page["NextKeyMarker"], "upload": page["NextUploadIdMarker"]}

    def _parts(self, key: str, upload: str) -> int:
        size, marker = 0, 0
        while True:
            self.in_time()
            try:
                page = self.client.list_parts(Bucket=self.bucket, Key=key, UploadId=upload, PartNumberMarker=marker)
            except ClientError as error:
                if _code(error) == "NoSuchUpload":  # completed or aborted meanwhile
                    return 0
                raise
            size += sum(part["Size"] for part in page.get("Parts", ()))
            if not page.get("IsTruncated"):
                return size
            marker = page["NextPartNumberMarker"]


# ------------------------------------------------------------------------------------------------------------- inventories


def _newest_manifest(client: Any, store: str, prefix: str, walk: Listing) -> dict[str, Any]:
    """The manifest of the newest inventory below a prefix: folders are named by their time, so the last key is the newest."""
    newest = ""
    token: dict[str, str] = {}
    while True:
        walk.in_time()
        page = client.list_objects_v2(Bucket=store, Prefix=prefix, **token)
        keys = [each["Key"] for each in page.get("Contents", ()) if each["Key"].endswith("/manifest.json")]
        newest = max([newest, *keys])
        if not page.get("IsTruncated"):
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    if not newest:
        raise ValueError(f"there is no inventory below {store}/{prefix}")
    manifest: dict[str, Any] = json.loads(client.get_object(Bucket=store, Key=newest)["Body"].read())
    if manifest.get("fileFormat") != "CSV":
        raise ValueError(f"the inventory is {manifest.get('fileFormat')}; let the store write CSV")
    return manifest


def _inventory_sizes(client: Any, store: str, manifest: Mapping[str, Any], walk: Listing) -> Iterator[int]:
    """Bytes of every version that the inventory lists; delete markers have none."""
    columns = [name.strip() for name in manifest["fileSchema"].split(",")]
    size = columns.index("Size")
    for file in manifest["files"]:
        walk.in_time()
        body = client.get_object(Bucket=store, Key=unquote_plus(file["key"]))["Body"].read()
        text = gzip.decompress(body) if file["key"].endswith(".gz") else body
        for row in csv.reader(io.StringIO(text.decode())):
            yield int(row[size] or 0)


def _code(error: Any) -> str:
    response = getattr(error, "response", None) or {}  # a time-out has the attribute and no response
    return str(response.get("Error", {}).get("Code", ""))


def _said(error: Exception) -> str:
    text = f"{_code(error)}: {error}" if _code(error) else f"{type(error).__name__}: {error}"
    return text[:250]
