"""A fingerprint of everything that shapes the migrated database, so that unchanged code need not migrate again."""

from __future__ import annotations

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Migrations, models, what runs after migrations (grants, policies, triggers, default rows), and the installed packages.
FILES = (
    "*/migrations/**/*.py", "*/migrations/**/*.sql", "*/models/**/*.py", "*/models.py", "*/apps.py", "portal/settings.py",
    "tenants/database/*.py", "metering/*_triggers.py", "metering/catalogue.py", "metering/partition*.py",
    "requirements/demo.lock",
)  # fmt: skip


def database_shape() -> str:
    """Hexadecimal; changes with any of the files, and not otherwise."""
    digest = hashlib.sha256()
    apps = [ROOT / name for name in ("portal", "tenants", "metering", "requirements")]
    found = {path for pattern in FILES for path in ROOT.glob(pattern) if any(app in path.parents for app in apps)}
    for path in sorted(found):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:20]
