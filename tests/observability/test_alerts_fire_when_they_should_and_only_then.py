"""promtool's unit tests of the rules: each case lists everything that fires, so an alert too many fails as one too few."""

import pytest

from infra.observability.as_code.known import ROOT

from .promtool import needs_promtool, run

TESTS = sorted((ROOT / "infra/observability/alerts/tests").glob("*.yml"))


@needs_promtool
@pytest.mark.slow
@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_cases_of_the_file_hold(file):
    status, output = run("test", "rules", str(file))
    assert status == 0, output


@needs_promtool
def test_rules_are_valid():
    status, output = run("check", "rules", *(str(path) for path in sorted(TESTS[0].parent.parent.glob("*.yml"))))
    assert status == 0, output
    assert "FAILED" not in output
