"""A fingerprint of everything that shapes the migrated database, so that unchanged code need not migrate again."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Migrations, models, what runs after migrations (grants, policies, triggers, default rows), and the installed packages.
FILES = (
    "*/migrations/**/*.py", "*/models/**/*.py", "*/apps.py", "portal/settings.py", "tenants/database/*.py", "portal/roles.py",
    "requirements/demo.lock",
)  # fmt: skip


def database_shape() -> str:
    """Hexadecimal; changes with any of the files, and not otherwise."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in FILES for path in files_of(pattern)}):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def files_of(pattern: str) -> set[Path]:
    """The files of the product that one of FILES names."""
    apps = [ROOT / name for name in ("portal", "tenants", "metering", "requirements")]
    return {path for path in ROOT.glob(pattern) if any(app in path.parents for app in apps)}
