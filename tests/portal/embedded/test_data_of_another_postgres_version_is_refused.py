"""Data made by another major version: a sentence that says what to do, and the data stays as it is."""

import pytest

from portal.embedded import EmbeddedError, PostgresServer


def test_the_sentence_names_both_versions_and_both_ways_out(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("14\n")
    with pytest.raises(
        EmbeddedError, match=r"was made by PostgreSQL 14, but this one is \d+: .*make demo-reset.*PORTAL_EMBEDDED"
    ):
        PostgresServer(tmp_path).start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]
