"""The demo's folder: one demo at a time, secrets that stay, files that only the owner reads, sentences when it cannot be used."""

import os
import stat
import subprocess
import sys

import pytest

from portal.demo.folder import ROOT, DemoError, DemoFolder, process_environment


def test_a_second_demo_is_told_how_to_stop_the_first(tmp_path):
    first, second = DemoFolder(tmp_path), DemoFolder(tmp_path)
    first.take()
    with pytest.raises(
        DemoError,
        match=rf"A demo already runs on .* \(process {os.getpid()}\): stop it with Ctrl-C .* or with `kill {os.getpid()}`",
    ):
        second.take()
    assert second.running()
    first.release()
    second.take()
    second.release()


def test_secrets_are_made_once_and_kept_private(tmp_path):
    folder = DemoFolder(tmp_path)
    made = folder.secrets()
    assert folder.secrets() == made
    assert DemoFolder(tmp_path).secrets() == made
    assert len(set(made.values())) == len(made)
    assert all(len(value) >= 50 for value in made.values())
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DemoError, match=r"Cannot write to .*: make the folder .* writable for you, or set PORTAL_DATA"):
        DemoFolder(tmp_path / "file" / "data").take()


def test_what_an_earlier_run_wrote_about_itself_is_gone(tmp_path):
    (tmp_path / "demo.json").write_text("{}")
    (tmp_path / "environment.json").write_text("{}")
    folder = DemoFolder(tmp_path)
    folder.take()
    assert not folder.description.exists()
    assert not folder.environment_file.exists()
    folder.release()


def test_reset_deletes_everything(tmp_path):
    folder = DemoFolder(tmp_path / "data")
    (folder.path / "postgres" / "data").mkdir(parents=True)
    folder.reset()
    assert not folder.path.exists()
    folder.reset()  # twice does no harm


def test_reset_first_stops_what_stands_in_front_of_the_demo(tmp_path):
    """The reference platform holds a folder in the demo's: it would start the demo again while its data is being deleted."""
    folder = DemoFolder(tmp_path / "data")
    held = (
        "import signal, sys, time; from pathlib import Path; from portal.demo.folder import hold\n"
        "path, order = Path(sys.argv[1]), Path(sys.argv[2]); lock = hold(path)\n"
        "def stop(*_): order.open('a').write(path.parent.name + '\\n'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop); print('held', flush=True)\n"
        "while True: (path.parent / 'alive').write_text('x'); time.sleep(0.01)"
    )
    (folder.path / "platform").mkdir(parents=True)
    kept = []
    for lock in (folder.path / "lock", folder.path / "platform" / "lock"):
        command = [sys.executable, "-c", held, str(lock), str(tmp_path / "order")]
        kept.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        assert kept[-1].stdout.readline() == "held\n"
    folder.reset()
    assert [process.wait(10) for process in kept] == [0, 0]
    assert (tmp_path / "order").read_text().split() == ["platform", "data"]
    assert not folder.path.exists()


def test_settings_of_the_persons_shell_do_not_reach_the_demo(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY_FILE", "/etc/hostname")
    monkeypatch.setenv("DATABASE_URL", "postgres://production")
    monkeypatch.setenv("DATABASE_URL_FILE", "/run/secrets/production")
    monkeypatch.setenv("LANG", "C.UTF-8")
    environment = process_environment(DemoFolder(tmp_path), {"DATABASE_URL": "postgres://private"})
    assert environment["DATABASE_URL"] == "postgres://private"
    assert not {"SECRET_KEY_FILE", "DATABASE_URL_FILE"} & set(environment)
    assert environment["LANG"] == "C.UTF-8"


def test_every_token_of_a_door_is_made_once_and_kept(tmp_path):
    first, second = (process_environment(DemoFolder(tmp_path), {}) for _ in range(2))
    for name in ("METRICS_TOKEN", "ALERTS_TOKEN"):
        assert len(first[name]) > 40
        assert first[name] == second[name]
