from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tenants.people import memberships
from tests.portal.api.calling import Api, Callers, problem


def test_the_trail_is_newest_first_and_of_one_tenant(callers: Callers, operator: Api) -> None:
    operator.put("tenants/acme/rate-limits/minute", {"limit": 5, "reason": "Abuse"})
    operator.put("tenants/globex/rate-limits/minute", {"limit": 6, "reason": "Secret of globex"})
    answer = callers.person("ada").get("tenants/acme/audit")
    assert b"globex" not in answer.content
    newest = answer.json()["results"][0]
    assert (newest["table"], newest["operation"], newest["reason"]) == ("tenants_override", "INSERT", "Abuse")
    assert (newest["old"], newest["new"]["reason"]) == (None, "Abuse")


def test_the_trail_is_filtered(callers: Callers, operator: Api) -> None:
    operator.put("tenants/acme/rate-limits/minute", {"limit": 5, "reason": "Abuse"})
    ada = callers.person("ada")
    actor = ada.get("tenants/acme/audit").json()["results"][0]["actor"].replace(" ", "%20")
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().replace("+", "%2B")
    counts = {
        query: ada.get(f"tenants/acme/audit?{query}").json()["count"]
        for query in (
            f"actor={actor}",
            "actor=user:nobody",
            "table=tenants_override",
            f"since={later}",
            f"until={later}&table=tenants_override",
        )
    }
    assert list(counts.values()) == [1, 0, 1, 0, 1]


def test_digests_of_keys_are_hidden(callers: Callers) -> None:
    callers.key()
    newest = callers.person("ada").get("tenants/acme/audit?table=tenants_apikey").json()["results"][0]
    assert newest["new"]["digest"] == "(hidden)"


def test_members_of_today(callers: Callers) -> None:
    memberships.remove(callers.cast.membership("victor"), by=None, actor="system:test")
    ada = callers.person("ada")
    assert [row["username"] for row in ada.get("tenants/acme/members").json()["results"]] == [
        "alice",
        "ada",
        "carol",
        "bob",
    ]
    assert [row["username"] for row in ada.get("tenants/acme/members?role=billing").json()["results"]] == ["carol"]
    problem(ada.get("tenants/acme/members?role=god"), 400, "validation_error")
