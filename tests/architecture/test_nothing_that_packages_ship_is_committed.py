"""Scripts, styles and fonts of third parties come out of installed packages at build time; git holds only our own sources."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_no_built_or_third_party_asset_is_tracked():
    answer = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if answer.returncode != 0:
        pytest.skip("not a git checkout")
    suspicious = (".min.js", ".min.css", ".woff2", ".woff", ".ttf", ".map")
    tracked = [
        name for name in answer.stdout.splitlines() if name.endswith(suspicious) or name.startswith("portal/static/")
    ]
    assert tracked == []


def test_no_page_loads_anything_from_elsewhere():
    loads = ('src="http', "src='http", 'href="https://cdn', "@import url(http", 'src="//', 'href="//')
    pages = [path for path in (ROOT / "templates").rglob("*.html") if "emails" not in path.parts]
    assert [path.name for path in pages if any(word in path.read_text() for word in loads)] == []
