"""PostgreSQL refuses root. As root it runs in a user namespace, and where that is forbidden as nobody; the data moves along."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from portal.embedded import PostgresServer, binaries

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs this")


def possible(prefix):
    return subprocess.run([*prefix, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(
    not (possible(binaries.USER_NAMESPACE) and possible(binaries.OTHER_USER)),
    reason="this machine forbids one of the ways",
)
def test_both_ways_work_on_the_same_data(tmp_path):
    ways = [(binaries.USER_NAMESPACE, 0), (binaries.OTHER_USER, binaries.NOBODY), (binaries.USER_NAMESPACE, 0)]
    for number, way in enumerate(ways):
        with (
            PostgresServer(tmp_path, durable=False, run_as=lambda way=way: way) as server,
            psycopg.connect(server.url) as c,
        ):
            c.execute("CREATE TABLE IF NOT EXISTS t (i int)")
            c.execute("INSERT INTO t VALUES (1)")
            assert c.execute("SELECT count(*) FROM t").fetchone() == (number + 1,)
        assert server.data.stat().st_uid == way[1]


@pytest.fixture
def public_folder():
    """A folder that everybody may pass through; pytest's own are private."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(not possible(binaries.OTHER_USER), reason="this machine forbids a change of user")
def test_programs_below_a_private_folder_are_copied_to_where_nobody_can_run_them(tmp_path, public_folder, monkeypatch):
    package = binaries.postgres_bin().parent.parent
    if not package.with_name(f"{package.name}.libs").exists():
        pytest.skip("PostgreSQL is the system's here")
    tmp_path.chmod(0o700)
    shutil.copytree(package / "pginstall" / "bin", tmp_path / package.name / "pginstall" / "bin")
    shutil.copytree(package.with_name(f"{package.name}.libs"), tmp_path / f"{package.name}.libs")
    monkeypatch.setattr(binaries, "postgres_bin", lambda: tmp_path / package.name / "pginstall" / "bin")

    monkeypatch.setattr(binaries, "FOR_EVERYBODY", public_folder)

    folder = binaries.postgres_bin_under.__wrapped__(binaries.OTHER_USER)

    assert public_folder in folder.parents
    answer = subprocess.run([*binaries.OTHER_USER, str(folder / "initdb"), "--version"], capture_output=True, text=True)
    assert "initdb (PostgreSQL)" in answer.stdout
