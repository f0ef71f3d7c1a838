"""Loads the Lua scripts. Each file's header says its KEYS, ARGV, reply and an example."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import NamedTuple

from .resp import Words


class Script(NamedTuple):
    """A Lua script and the number of keys that it takes."""

    name: str
    keys: int
    source: bytes
    sha: bytes

    @classmethod
    def load(cls, name: str, keys: int) -> Script:
        return cls.of(name, keys, files(__package__).joinpath("lua", f"{name}.lua").read_bytes())

    @classmethod
    def of(cls, name: str, keys: int, source: bytes) -> Script:
        return cls(name, keys, source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())

    def evalsha(self, *keys_and_arguments: str | bytes | int) -> Words:
        """The command that runs the script by its digest."""
        return ("EVALSHA", self.sha, self.keys, *keys_and_arguments)


DECIDE = Script.load("decide", 3)
PUBLISH = Script.load("publish", 1)
BEGIN = Script.load("begin", 2)
TRIM = Script.load("trim", 1)
REBASE = Script.load("rebase", 2)
RESERVE = Script.load("reserve", 1)
CHANGE = Script.load("change", 1)
BUILD = Script.load("build", 1)
SETTLE = Script.load("settle", 2)
