"""The committed JSON is what the code writes: nobody edits it by hand, nobody forgets `make dashboards`."""

import pytest

from infra.observability.as_code.__main__ import FOLDER, OPERATORS, TENANTS, path_of, text_of

EVERY = (*OPERATORS, *TENANTS)


@pytest.mark.parametrize("dashboard", EVERY, ids=lambda each: each.uid)
def test_the_file_is_what_the_code_writes(dashboard):
    assert path_of(dashboard).read_text(encoding="utf-8") == text_of(dashboard), "run `make dashboards`"


def test_no_file_lies_there_that_no_code_writes():
    assert sorted(FOLDER.rglob("*.json")) == sorted(path_of(each) for each in EVERY)
