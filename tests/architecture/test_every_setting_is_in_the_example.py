""".env.example names every variable that the settings read, and compose.yml sets none that nobody reads."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
READ = set(
    re.findall(
        r'env\.(?:text|boolean|integer|number|items|structured|choice|database|mail_server)\(\s*"([A-Z_]+)"',
        (ROOT / "portal/settings.py").read_text(),
    )
)
EXAMPLE = set(re.findall(r"^#? ?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
# Not for an operator to set in the file, with the reason.
LEFT_OUT = {
    "DEBUG": "production never sets it",
    "TLS": "on in production; off only for a private machine",
    "NODE_NAME": "the host name serves",
    "SITE_NAME": "a matter of taste",
}
READ_ELSEWHERE = {"LOG_FORMAT", "LOG_LEVEL", "XDG_CACHE_HOME"}


def test_the_example_is_complete():
    assert sorted(READ - EXAMPLE - set(LEFT_OUT)) == []


def test_the_example_names_nothing_that_is_not_read():
    assert sorted(EXAMPLE - READ - READ_ELSEWHERE) == []


def test_no_exemption_is_stale():
    assert sorted(set(LEFT_OUT) - READ) == []


def test_compose_sets_only_what_is_read():
    environment = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["web"]["environment"]
    assert sorted({name.removesuffix("_FILE") for name in environment} - READ - READ_ELSEWHERE) == []
