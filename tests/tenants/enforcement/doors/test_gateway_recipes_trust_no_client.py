"""What Traefik and Envoy would send on: only what our configuration says, never the client's cost or class."""

from __future__ import annotations

from pathlib import Path

import yaml

RECIPES = Path(__file__).resolve().parents[4] / "infra" / "examples" / "gateways"


def test_traefik_sends_the_authorization_and_nothing_else_of_the_client() -> None:
    recipe = yaml.safe_load((RECIPES / "traefik.yml").read_text())["http"]
    asking = [each["forwardAuth"] for each in recipe["middlewares"].values() if "forwardAuth" in each]
    assert asking
    for each in asking:
        assert "form=traefik" in each["address"]
        assert each["authRequestHeaders"] == ["Authorization"]
        assert each["trustForwardHeader"] is False
    for router in recipe["routers"].values():
        assert router["middlewares"][0] == "strip-portal-headers"


def test_envoy_sends_no_header_of_the_client_but_its_defaults_and_the_class_that_the_recipe_overwrites() -> None:
    recipe = yaml.safe_load((RECIPES / "envoy.yaml").read_text())
    filters = recipe["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"][
        "http_filters"
    ]
    assert [each["name"].rsplit(".", 1)[-1] for each in filters] == ["header_mutation", "ext_authz", "router"]
    asking = filters[1]["typed_config"]
    assert asking["failure_mode_allow"] is False
    assert asking["http_service"]["path_prefix"] == "/decide/envoy"
    assert asking["allowed_headers"] == {"patterns": [{"exact": "x-route-class"}]}
    written = filters[0]["typed_config"]["mutations"]["request_mutations"][-1]["append"]
    assert (written["header"]["key"], written["append_action"]) == ("x-route-class", "OVERWRITE_IF_EXISTS_OR_ADD")
    assert "authorization_request" not in asking["http_service"]
