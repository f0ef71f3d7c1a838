"""Two machines that share PostgreSQL and Redis and no disk: a session begun on one goes on on the other, what one has written the other
hands out, and the decision endpoints of both count one budget. Each has its own copy of the program, home, scratch and metrics folder."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from portal.embedded import free_port
from tests.faults.under_load.house import ROOT, House

pytestmark = pytest.mark.slow

PROGRAM = ("portal", "metering", "tenants", "templates", "docs", "manage.py", "pyproject.toml")
LIMIT = 12
PEOPLE = f"""
from django.utils import timezone
from tenants import provisioning
from tenants.enforcement.publishing import policy
from tenants.models import TierRateLimit, User
from tenants.people import memberships
from tests.metering.billing.invoices import issued_invoice
tenant = provisioning.create_tenant(slug="acme", name="Acme", actor="test")
TierRateLimit.objects.filter(window="minute").update(limit={LIMIT})
policy.publish(tenant.pk)
alice = User.objects.create_user("alice", "alice@acme.example", "demo-demo-demo")
memberships.add(tenant, alice, "owner", by=None, actor="test")
told = str(issued_invoice(tenant).public_id)
"""
WRITE_FILES = """
from django.utils import timezone
from metering.files import exporting
told = exporting.work_queue(timezone.now())
"""


class Machine(House):
    """A host of its own, beside the servers of `house`."""

    def __init__(self, house: House, folder: Path) -> None:
        super().__init__(folder, house.postgres, house.redis)
        self.root = folder / "srv"
        self.root.mkdir(parents=True)
        for name in PROGRAM:
            (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, self.root / name)
        self.scratch = {name: folder / name for name in ("home", "tmp", "metrics")}
        for each in self.scratch.values():
            each.mkdir()
        self.environment |= {
            "HOME": str(self.scratch["home"]), "TMPDIR": str(self.scratch["tmp"]), "PROMETHEUS_MULTIPROC_DIR": str(self.scratch["metrics"]),
            "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1", "STATIC_ROOT": str(self.root / "static"),
        }  # fmt: skip
        self.before = self.files()

    def files(self) -> set[str]:
        """Everything that lies on its disk, but for the metrics of its own processes and what this test logs."""
        every = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}
        return {name for name in every if not name.startswith("metrics/") and not name.endswith(".log")}


class Browser:
    """One person, whose requests go to whichever machine is named; cookies are the site's, not a machine's."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=60, headers={"Host": "portal.example"})

    def open(self, port: int, path: str, **form: str) -> httpx.Response:
        """GET, or POST of a form with the token of the page that shows it."""
        url = f"http://127.0.0.1:{port}{path}"
        page = self._client.get(url)
        if not form:
            return page
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text[:2000]
        once = re.findall(r'name="(once[^"]*)" value="([^"]+)"', page.text)
        return self._client.post(url, data={**dict(once), **form, "csrfmiddlewaretoken": token[1]})


@pytest.fixture
def machines(whole: House, tmp_path: Path) -> Any:
    made = [Machine(whole, tmp_path / name) for name in ("a", "b")]
    yield made
    for each in made:
        each.end()


def test_a_session_goes_on_on_the_other_machine(whole: House, machines: list[Machine]) -> None:
    invoice = whole.ask(PEOPLE)
    a, b = machines
    web = {machine: free_port() for machine in machines}
    decision = {machine: free_port() for machine in machines}
    for machine in machines:
        machine.web(web[machine])
        machine.decision(decision[machine])
    alice = Browser()

    # Signed in on A, she is known on B.
    assert alice.open(web[b], "/t/acme/").status_code == 302
    signed_in = alice.open(web[a], "/accounts/login/", login="alice", password="demo-demo-demo")
    assert signed_in.status_code == 302, signed_in.text[:2000]
    for machine in (b, a, b):
        assert alice.open(web[machine], "/t/acme/").status_code == 200

    # The form was shown by A and is sent to B; the message that B leaves is shown by A.
    asked = alice.open(web[b], "/t/acme/downloads", kind="trail", first="2026-01-01", last="2026-01-31")
    assert asked.status_code == 302, asked.text[:3000]
    assert "The file is being written" in alice.open(web[a], "/t/acme/downloads").text
    assert "The file is being written" not in alice.open(web[b], "/t/acme/downloads").text

    # The file is written by A's worker and fetched from B.
    assert a.ask(WRITE_FILES) == 1
    link = re.search(r'href="(/t/acme/downloads/[^"]+/file)"', alice.open(web[b], "/t/acme/downloads").text)
    assert link
    files = [alice.open(web[machine], link[1]) for machine in (b, a)]
    assert files[0].status_code == 200
    assert files[0].content == files[1].content

    # A makes the invoice's PDF when it is first asked for; B hands out the same, byte for byte.
    documents = [alice.open(web[machine], f"/t/acme/invoices/{invoice}/document.pdf") for machine in (a, b)]
    assert documents[0].content[:5] == b"%PDF-"
    assert documents[0].content == documents[1].content

    # A key is made on B and counts on both machines at once against one limit.
    made = alice.open(web[b], "/t/acme/keys/new", name="shared", owner="me", scopes="decide", lifetime="30")
    key = re.search(r"gpk_[A-Za-z0-9_-]+", made.text)
    assert key, made.text[:3000]
    answers: Counter[int] = Counter()
    left = []
    for number in range(LIMIT + 6):
        machine = machines[number % 2]
        answer = httpx.get(
            f"http://127.0.0.1:{decision[machine]}/decide", headers={"Authorization": f"Bearer {key[0]}"}
        )
        answers[answer.status_code] += 1
        left.append(int(answer.headers["X-RateLimit-Remaining"]))
    assert answers == {200: LIMIT, 429: 6}
    assert left[:LIMIT] == list(range(LIMIT - 1, -1, -1)), "each call sees what the other machine has counted"

    # Signed out on A is signed out on B.
    alice.open(web[a], "/accounts/logout/", go="1")
    assert alice.open(web[b], "/t/acme/").status_code == 302
    for machine in machines:
        assert machine.files() == machine.before, "a file that the other machine does not have"
