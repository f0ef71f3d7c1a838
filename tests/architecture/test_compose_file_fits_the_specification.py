"""docker-compose.yml is valid by the Compose JSON schema (which refuses misspelt keys) and keeps the promises of its comments."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec" / "compose-spec.json").read_text())
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OURS = {"migrate", "web", "decision", "worker", "beat"}


def test_the_file_is_valid():
    jsonschema.Draft7Validator(SCHEMA).validate(COMPOSE)


def test_a_misspelt_key_would_be_found():
    broken = copy.deepcopy(COMPOSE)
    broken["services"]["web"]["heathcheck"] = broken["services"]["web"].pop("healthcheck")
    with pytest.raises(jsonschema.ValidationError, match="heathcheck"):
        jsonschema.Draft7Validator(SCHEMA).validate(broken)


def test_every_process_of_the_product_is_there():
    assert set(SERVICES) == OURS | {"postgres", "redis-quota", "redis-work", "mail"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_every_service_that_stays_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - OURS))
def test_foreign_images_are_pinned_to_a_full_version(name):
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-[a-z]+)?$", SERVICES[name]["image"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_processes_run_without_privileges(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_secrets_come_from_files_only():
    for name, service in SERVICES.items():
        for variable, value in (service.get("environment") or {}).items():
            secret = re.search(r"SECRET|PEPPER|PASSWORD|TOKEN|DATABASE_URL|REDIS_URL|BROKER_URL", variable)
            assert not secret or (variable.endswith("_FILE") and value.startswith("/run/secrets/")), (name, variable)
        for secret in service.get("secrets", []):
            assert COMPOSE["secrets"][secret]["file"].startswith("infra/docker/secrets/")


def test_every_secret_that_is_mounted_is_made_by_the_script():
    made = (ROOT / "infra/docker/secrets.sh").read_text()
    assert [name for name in COMPOSE["secrets"] if name not in made] == []


def test_quota_counters_are_never_evicted_and_survive_a_restart():
    command = SERVICES["redis-quota"]["command"][-1]
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command


def test_the_databases_have_no_door_to_the_outside():
    assert COMPOSE["networks"]["default"]["internal"] is True
    for name in ("postgres", "redis-quota", "redis-work"):
        assert "ports" not in SERVICES[name]
        assert "networks" not in SERVICES[name]
