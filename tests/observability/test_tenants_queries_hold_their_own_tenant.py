"""Every selector of the tenants' dashboard holds exactly one matcher on `tenant`, and it is the signed-in tenant."""

import json

import pytest

from infra.observability.as_code import promql
from infra.observability.as_code.__main__ import FOLDER, TENANTS

MINE = 'tenant="${__user.login}"'
EXPRESSIONS = [
    target["expr"]
    for each in TENANTS
    for panel in json.loads((FOLDER / "tenants" / f"{each.uid}.json").read_text())["panels"]
    for target in panel["targets"]
]


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_each_selector_has_exactly_one_tenant(expr):
    found = promql.selectors(expr)
    assert found
    for selector in found:
        assert [matcher for matcher in selector.matchers if matcher[0] == "tenant"] == [("tenant", "=", "acme")]
    assert expr.count(MINE) == len(found)


def test_no_variable_no_annotation_and_no_link_leads_elsewhere():
    for path in (FOLDER / "tenants").glob("*.json"):
        document = json.loads(path.read_text())
        assert document["templating"]["list"] == []
        assert document["annotations"]["list"] == []
        assert document["links"] == []
        assert all("links" not in panel for panel in document["panels"])
        sources = {target["datasource"]["uid"] for panel in document["panels"] for target in panel["targets"]}
        assert sources == {"tenant-prometheus"}


def test_operators_dashboards_are_in_another_folder():
    assert not any("${__user.login}" in path.read_text() for path in FOLDER.glob("*.json"))
