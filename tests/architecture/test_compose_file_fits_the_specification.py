"""docker-compose.yml is valid by the Compose JSON schema (which refuses misspelt keys) and keeps the promises of its comments."""

import copy
import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec" / "compose-spec.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {"migrate", "keys", "web", "decision", "worker", "beat", "business-exporter", "platform-meters"}
ONCE = {"migrate", "keys", "platform-meters", "platform-onboard"}
PLATFORM = {f"platform-{name}" for name in ("meters", "onboard", "gateway", "imaging", "search", "ml", "worker")}
WATCHERS = {
    "nginx", "nginx-tls", "prometheus", "alertmanager", "long-term", "grafana", "grafana-tenant", "prom-label-proxy", "otel-collector",
    "jaeger", "exporters-door", "celery-exporter", "redis-exporter", "postgres-exporter", "node-exporter", "dcgm-exporter",
}  # fmt: skip


def test_the_file_is_valid():
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


def test_a_misspelt_key_would_be_found():
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["web"]["heathcheck"] = broken["services"]["web"].pop("healthcheck")
    with pytest.raises(jsonschema.ValidationError, match="heathcheck"):
        jsonschema.Draft7Validator(SCHEMA).validate(broken)


def test_every_process_of_the_product_is_there():
    assert set(SERVICES) == OURS | WATCHERS | PLATFORM | {"postgres", "redis-quota", "redis-work", "mail"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_every_service_that_stays_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - OURS - PLATFORM))
def test_foreign_images_are_pinned_to_a_full_version(name):
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z0-9.]+)*$", SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(OURS | PLATFORM))
def test_our_processes_run_without_privileges(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_secrets_come_from_files_only():
    for name, service in SERVICES.items():
        for variable, value in (service.get("environment") or {}).items():
            secret = re.search(
                r"SECRET|PEPPER|PASSWORD|PASS\b|TOKEN|DATABASE_URL|REDIS_URL|BROKER_URL|HEADERS", variable
            )
            assert not secret or (variable.endswith("_FILE") and value.startswith("/run/secrets/")), (name, variable)
        for secret in service.get("secrets", []):
            name = secret if isinstance(secret, str) else secret["source"]
            assert COMPOSE["secrets"][name]["file"].startswith("infra/docker/secrets/")


def test_the_script_makes_every_secret_that_is_mounted_once(tmp_path):
    shutil.copy(ROOT / "infra/docker/secrets.sh", tmp_path)
    made = []
    for _ in range(2):  # a second run changes nothing
        subprocess.run(["sh", str(tmp_path / "secrets.sh")], check=True, capture_output=True)
        made.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert made[0] == made[1]
    assert set(COMPOSE["secrets"]) - set(made[0]) == set()
    yours = {"platform_operator_token", "chat_webhook_url", "pager_routing_key", "tls_certificate", "tls_key"}
    assert {name for name, text in made[0].items() if not text} == yours
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


def test_quota_counters_are_never_evicted_and_survive_a_restart():
    command = SERVICES["redis-quota"]["command"][-1]
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_the_databases_have_no_door_to_the_outside():
    assert COMPOSE["networks"]["default"]["internal"] is True
    for name in ("postgres", "redis-quota", "redis-work"):
        assert "ports" not in SERVICES[name]
        assert "networks" not in SERVICES[name]


def networks(name):
    """Those of a service, or of the one whose network it shares."""
    shared = SERVICES[name].get("network_mode", "").removeprefix("service:")
    return networks(shared) if shared else set(SERVICES[name].get("networks", ["default"]))


def reach(start, without=()):
    """Every service that a service shares a network with."""
    return {name for name in SERVICES if name not in {start, *without} and networks(name) & networks(start)}


def test_the_tenants_grafana_has_no_way_to_prometheus_but_the_label_proxy():
    assert reach("grafana-tenant") == {"nginx", "nginx-tls", "prom-label-proxy"}
    assert reach("prom-label-proxy") & {"nginx", "nginx-tls", "grafana", "web"} == {"web"}  # web is scraped
    assert "prometheus" in reach("prom-label-proxy")


def test_only_the_door_and_what_has_its_own_credentials_listen_outside():
    assert {name for name, service in SERVICES.items() if "ports" in service} == {
        "nginx",
        "nginx-tls",
        "decision",
        "mail",
        "platform-gateway",
    }
    public = {
        name
        for name, service in SERVICES.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert public == {"nginx-tls"}


def test_networks_of_the_watchers_cannot_call_out():
    for name in ("edge", "panels", "narrow", "metrics", "traces", "store", "services"):
        assert COMPOSE["networks"][name]["internal"] is True


@pytest.mark.parametrize("name", sorted(WATCHERS))
def test_watchers_are_limited(name):
    assert SERVICES[name]["mem_limit"]


def test_jaeger_can_write_to_its_volume():
    """Its image runs as 10001 and has no folder for Badger, so a new volume is root's: "mkdir /badger/keys: permission denied"."""
    jaeger = SERVICES["jaeger"]
    assert jaeger["user"] == "0:0"
    assert jaeger["cap_drop"] == ["ALL"]


def test_optional_parts_are_profiles():
    assert {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service} == {
        "nginx-tls": ["tls"], "long-term": ["long-term"], "dcgm-exporter": ["gpu"],
        **{name: ["platform"] for name in PLATFORM},
    }  # fmt: skip


def test_the_label_proxy_takes_the_tenant_from_the_header_and_refuses_to_replace():
    command = SERVICES["prom-label-proxy"]["command"]
    assert {"-label=tenant", "-header-name=X-Grafana-User", "-enable-label-apis", "-error-on-replace"} <= set(command)
    assert not any("regex-match" in each or "unsafe" in each for each in command)


def test_the_tenants_grafana_knows_people_by_the_portals_token_only():
    settings = SERVICES["grafana-tenant"]["environment"]
    assert settings["GF_AUTH_JWT_EXPECT_CLAIMS"] == '{"iss":"portal","aud":"grafana-tenant"}'
    assert settings["GF_DATAPROXY_SEND_USER_HEADER"] == "true"
    assert settings["GF_AUTH_JWT_ROLE_ATTRIBUTE_PATH"] == "'Viewer'"
    for name in ("ANONYMOUS_ENABLED", "BASIC_ENABLED", "JWT_URL_LOGIN"):
        assert settings[f"GF_AUTH_{name}"] == "false"
    for name in (
        "GF_EXPLORE_ENABLED",
        "GF_SNAPSHOTS_ENABLED",
        "GF_PUBLIC_DASHBOARDS_ENABLED",
        "GF_UNIFIED_ALERTING_ENABLED",
    ):
        assert settings[name] == "false"
