"""Who may log in, for whom they act, and the tokens that say so between two requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOKEN_SECONDS = 8 * 3600
INTERNAL_SECONDS = 300
"""For so long a service believes another's header: made for one request, so this is for clocks that differ."""
ROUNDS = 2**13  # of scrypt; a login costs about 20 ms of a core


@dataclass(frozen=True)
class Caller:
    """Whom a request acts for: the labels of everything that is metered."""

    tenant: str
    user: str
    project: str


@dataclass(frozen=True)
class Account:
    """A person (or machine) of a tenant. `api_key` is the tenant's key that the portal counts this account's calls by."""

    username: str
    password_hash: str
    tenant: str
    project: str
    api_key: str
    roles: tuple[str, ...] = ("clinician",)

    @property
    def caller(self) -> Caller:
        return Caller(self.tenant, self.username, self.project)


class Accounts:
    """The accounts of a file, read once."""

    def __init__(self, accounts: Iterable[Account], service_keys: Mapping[str, str]) -> None:
        """`service_keys` are the tenants' keys that services report usage and reserve GPUs with."""
        self._by_name = {account.username: account for account in accounts}
        self._service_keys = dict(service_keys)

    @classmethod
    def load(cls, path: Path) -> Accounts:
        """Raises OSError, or ValueError when it is no file of ours."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            (Account(**{**row, "roles": tuple(row["roles"])}) for row in content["accounts"]), content["service_keys"]
        )

    def get(self, username: str) -> Account | None:
        return self._by_name.get(username)

    def service_key(self, tenant: str) -> str:
        """ "" when the tenant has none: nothing is reported for it."""
        return self._service_keys.get(tenant, "")

    def check(self, username: str, password: str) -> Account | None:
        """The account when the password is right. A name that nobody has takes as long as a wrong password."""
        account = self._by_name.get(username)
        right = matches(password, account.password_hash if account else _NOBODY)
        return account if right else None


def dump(path: Path, accounts: Iterable[Account], service_keys: Mapping[str, str]) -> None:
    """Write the file of accounts, readable by its owner only."""
    content: dict[str, Any] = {
        "accounts": [asdict(account) for account in accounts],
        "service_keys": dict(service_keys),
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def hashed(password: str) -> str:
    """scrypt with a salt of its own."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${_scrypt(password, salt).hex()}"


def matches(password: str, known: str) -> bool:
    salt, _, digest = known.partition("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)).hex(), digest)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=ROUNDS, r=8, p=1, dklen=32)


_NOBODY = hashed(secrets.token_hex(16))


class Tokens:
    """Signed tokens: user name and end, and nothing that must be kept secret."""

    def __init__(self, secret: str, seconds: int = TOKEN_SECONDS) -> None:
        self._seconds = seconds
        self._key = hashlib.sha256(f"sessions:{secret}".encode()).digest()

    def issue(self, username: str, now: float | None = None) -> str:
        """Valid for `seconds` from `now` (Unix seconds)."""
        ends = int((time.time() if now is None else now) + self._seconds)
        body = base64.urlsafe_b64encode(json.dumps([username, ends]).encode()).rstrip(b"=")
        return f"{body.decode()}.{self._sign(body)}"

    def username(self, token: str, now: float | None = None) -> str | None:
        """Whose token it is; None when it is forged, damaged or over."""
        username, ends = self._read(token)
        return username if ends > (time.time() if now is None else now) else None

    def over(self, token: str, now: float | None = None) -> bool:
        """Whether it was one of ours, and its time has passed."""
        username, ends = self._read(token)
        return username is not None and ends <= (time.time() if now is None else now)

    def _read(self, token: str) -> tuple[str | None, float]:
        """(user name, end in Unix seconds); (None, 0) of what we did not sign."""
        body, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body.encode()).encode()):
            return None, 0.0
        username, ends = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return str(username), float(ends)

    def _sign(self, body: bytes) -> str:
        return hmac.new(self._key, body, "sha256").hexdigest()


class Internal:
    """How services tell each other whom a request acts for: a header that only holders of the secret can make."""

    HEADER = "x-platform-caller"

    def __init__(self, secret: str) -> None:
        self._tokens = Tokens(f"internal:{secret}", INTERNAL_SECONDS)

    def header(self, caller: Caller) -> dict[str, str]:
        return {self.HEADER: self._tokens.issue(json.dumps([caller.tenant, caller.user, caller.project]))}

    def caller(self, header: str, now: float | None = None) -> Caller | None:
        """Whom the header names; None when it is forged or no header of the present request (`now` in Unix seconds)."""
        text = self._tokens.username(header, now) if header else None
        return Caller(*json.loads(text)) if text else None
