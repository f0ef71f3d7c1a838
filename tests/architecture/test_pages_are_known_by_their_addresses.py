"""In the rooms of portal/web what ends in `_page` is a page: urls.py leads to it, nobody else builds on it, its templates lie in its room's folder."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "portal" / "web"
TEMPLATES = ROOT / "templates" / "portal"
PAGES = {f"{path.parent.name}.{path.stem}" for path in WEB.glob("*/*_page.py")}
EVERY_ROOMS = "frame"  # the question before something is done looks the same everywhere
NOT_A_ROOM = {"api"}  # the page of portal/api


def imported_pages(path: Path) -> Iterator[str]:
    """The pages that a module imports, as room.module; a relative import of a neighbour has the module's own room."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        near = node.level == 1 and path.parent != WEB
        dotted = f"{path.parent.name}.{node.module or ''}" if near else node.module or ""
        for name in (dotted, *(f"{dotted.rstrip('.')}.{each.name}" for each in node.names)):
            room_and_module = ".".join(name.split(".")[-2:])
            if room_and_module in PAGES:
                yield room_and_module


def test_the_addresses_lead_to_every_page_and_to_nothing_else():
    assert len(PAGES) > 20
    assert set(imported_pages(WEB / "urls.py")) == PAGES
    views = re.findall(r"^ +path\(\s*\"[^\"]*\",\s*(\w+)\.", (WEB / "urls.py").read_text(), re.MULTILINE)
    assert len(views) > 50
    assert {view for view in views if not view.endswith("_page")} == set()


def test_nobody_builds_on_a_page():
    modules = [path for path in (ROOT / "portal").rglob("*.py") if path != WEB / "urls.py"]
    assert len(modules) > 150
    found = {str(path.relative_to(ROOT)): sorted(set(imported_pages(path))) for path in modules}
    others = {name: pages for name, pages in found.items() if pages and not name.endswith("_page.py")}
    assert others == {}


def test_a_page_shows_templates_of_its_own_room():
    shown = {
        (path.parent.name, template)
        for path in WEB.glob("*/*.py")
        for template in re.findall(r"\"portal/([\w/]+)\.html\"", path.read_text())
    }
    assert len(shown) > 30
    assert {(room, name) for room, name in shown if name.partition("/")[0] not in (room, EVERY_ROOMS)} == set()


def test_every_template_lies_in_a_room():
    rooms = {path.parent.name for path in WEB.glob("*/__init__.py")}
    folders = {path.parent.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html")}
    assert len(folders) > 10
    assert folders - rooms == NOT_A_ROOM
