"""In which container or batch job a process runs, and that container's labels, from the node's own files.

The control group names container and job; the runtime's state on disk has the labels. Nothing is asked over a socket: a collector needs no
rights over a runtime, only to read these folders. What cannot be read is no label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

FILES = (
    "var/lib/docker/containers/{id}/config.v2.json",
    "run/containerd/io.containerd.runtime.v2.task/*/{id}/config.json",
    "var/lib/containers/storage/overlay-containers/{id}/userdata/config.json",
    "run/containers/storage/overlay-containers/{id}/userdata/config.json",
)
"""Docker, containerd (Kubernetes), Podman and CRI-O, below the root of the node."""
LARGEST = 4 * 2**20
_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")
_JOB = re.compile(r"(?:^|/)job_([0-9]{1,12})(?:/|$)")
_NAMESPACE, _POD = "io.kubernetes.cri.sandbox-namespace", "io.kubernetes.cri.sandbox-name"
_DOCKER_NAMESPACE, _DOCKER_POD = "io.kubernetes.pod.namespace", "io.kubernetes.pod.name"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process runs: `path` of its control group, id of its container, number of its Slurm job; "" where it runs in none."""

    path: str = ""
    container: str = ""
    job: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """What the mapping table may call it."""
        namespace = self.labels.get(_NAMESPACE) or self.labels.get(_DOCKER_NAMESPACE)
        pod = self.labels.get(_POD) or self.labels.get(_DOCKER_POD)
        whole = f"{namespace}/{pod or ''}" if namespace else ""
        return tuple(name for name in (self.path, self.container, whole) if name)


def place_of(cgroup: str) -> Place:
    """What the text of /proc/<pid>/cgroup says, without labels. With several hierarchies (v1), the path that says most counts."""
    paths = [line.split(":", 2)[2] for line in cgroup.splitlines() if line.count(":") >= 2]
    if not paths:
        return Place()
    ids = [found[-1] for path in paths if (found := _ID.findall(path))]
    jobs = [match.group(1) for path in paths if (match := _JOB.search(path))]
    telling = next((path for path in paths if _ID.search(path) or _JOB.search(path)), max(paths, key=len))
    return Place(telling[:400], ids[0] if ids else "", jobs[0] if jobs else "")


@lru_cache(maxsize=4096)
def labels_of(container: str, root: str = "/") -> Mapping[str, str]:
    """The labels (Docker) or annotations (OCI) of a container; they do not change while it lives."""
    if not _ID.fullmatch(container):
        return {}
    for file in _candidates(Path(root), container):
        try:
            if file.stat().st_size > LARGEST:
                continue
            found = _labels(json.loads(file.read_bytes()))
        except (OSError, ValueError):
            continue
        if found:
            return found
    return {}


def _candidates(root: Path, container: str) -> Iterable[Path]:
    for pattern in FILES:
        try:
            yield from sorted(root.glob(pattern.format(id=container)))
        except OSError:  # a folder that may not be read
            continue


def _labels(document: Any) -> dict[str, str]:
    if not isinstance(document, dict):
        return {}
    config = document.get("Config")
    found = {
        **_texts(document.get("annotations")),
        **_texts(config.get("Labels") if isinstance(config, dict) else None),
    }
    return {key.replace("aurelius.io/", "aurelius."): value for key, value in found.items()}


def _texts(value: Any) -> dict[str, str]:
    return {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}
