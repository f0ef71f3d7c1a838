"""A migrated database is kept as long as its fingerprint stays: a file that moves must not drop out of it unseen."""

from __future__ import annotations

import inspect
from pathlib import Path

from django.apps import apps
from django.db.models.signals import post_migrate

from portal.demo.shape import FILES, files_of

OURS = ("tenants", "metering", "portal")
FOUND = {path for pattern in FILES for path in files_of(pattern)}


def test_every_pattern_names_a_file():
    assert [pattern for pattern in FILES if not files_of(pattern)] == []


def test_what_runs_after_migrations_is_part_of_it():
    receivers = post_migrate._live_receivers(sender=None)[0]
    files = {Path(inspect.getfile(each)) for each in receivers if each.__module__.split(".")[0] in OURS}
    assert len(files) >= 2
    assert files <= FOUND


def test_models_and_what_they_declare_are_part_of_it():
    models = [model for name in OURS for model in apps.get_app_config(name).get_models()]
    assert {Path(inspect.getfile(model)) for model in models} <= FOUND
