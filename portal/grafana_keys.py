"""The ES256 keys with which the portal vouches for people at Grafana, and their public half (JWKS) that Grafana reads.

A folder holds one PEM file per key, named by its id, which begins with the UTC second at which it was made. A new key is published
`LEAD` before it signs, so that both Grafanas have read it by then; a key that no longer signs stays published for `LINGER`.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

LEAD = timedelta(hours=1)
LINGER = timedelta(hours=2)
ALGORITHM = "ES256"
_NAME = re.compile(r"(?P<at>\d{14})-[0-9a-f]{8}\.pem\Z")
_STAMP = "%Y%m%d%H%M%S"


@dataclass(frozen=True)
class Key:
    """A key pair; `kid` names it in tokens and in the JWKS."""

    kid: str
    made_at: datetime
    private: ec.EllipticCurvePrivateKey

    def public_jwk(self) -> dict[str, Any]:
        """The public half, without the private one."""
        shown: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**shown, "kid": self.kid, "use": "sig", "alg": ALGORITHM}


def read(folder: Path) -> list[Key]:
    """The keys of the folder, oldest first. Raises OSError or ValueError for a key that cannot be read."""
    keys = []
    for path in sorted(folder.glob("*.pem")):
        found = _NAME.match(path.name)
        if found:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
            if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
                raise ValueError(f"{path} is no P-256 key")
            keys.append(Key(path.stem, datetime.strptime(found["at"], _STAMP).replace(tzinfo=UTC), private))
    return keys


def signing_key(keys: list[Key], now: datetime) -> Key | None:
    """The newest key that has been published for long enough; while there is none, the oldest. None without keys."""
    ready = [key for key in keys if key.made_at <= now - LEAD]
    return ready[-1] if ready else (keys[0] if keys else None)


def make(folder: Path, now: datetime) -> str:
    """Add a key; returns its id. The file is readable for the owner and its group only."""
    kid = f"{now.astimezone(UTC):{_STAMP}}-{secrets.token_hex(4)}"
    pem = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f"{kid}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return kid


def retire(folder: Path, now: datetime) -> list[str]:
    """Delete keys that stopped signing more than LINGER ago; returns their ids."""
    keys, gone = read(folder), []
    for key, successor in itertools.pairwise(keys):
        if successor.made_at + LEAD + LINGER <= now:
            (folder / f"{key.kid}.pem").unlink()
            gone.append(key.kid)
    return gone


def jwks(keys: list[Key]) -> str:
    """The JWKS document of all keys."""
    return json.dumps({"keys": [key.public_jwk() for key in keys]}, indent=1) + "\n"


def publish(folder: Path, target: Path) -> None:
    """Write the JWKS, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    scratch.write_text(jwks(read(folder)), encoding="utf-8")
    scratch.chmod(0o644)
    scratch.replace(target)
