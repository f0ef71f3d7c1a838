from __future__ import annotations

from django.test import Client

from tests.portal.web.conftest import Cast, text_of

LOGIN = {"login": "alice", "password": "demo-demo-demo"}


def signed_in(browser: str, login: dict[str, str] = LOGIN) -> Client:
    client = Client(HTTP_USER_AGENT=browser)
    assert client.post("/accounts/login/", login).status_code == 302
    return client


def test_one_session_ends_and_the_other_goes_on(cast: Cast) -> None:
    here = signed_in("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0")
    there = signed_in("Mozilla/5.0 (iPhone) Safari/604.1")
    page = here.get("/sessions")
    assert "Firefox on Linux" in text_of(page)
    assert "Safari on iPhone" in text_of(page)
    other = next(row["id"] for row in page.context["sessions"] if not row["is_current"])
    here.post(f"/sessions/{other}/end")
    assert there.get("/t/acme/").status_code == 302
    assert here.get("/t/acme/").status_code == 200


def test_all_others_end_at_once(cast: Cast) -> None:
    here, second, third = signed_in("a"), signed_in("b"), signed_in("c")
    here.post("/sessions/others/end")
    assert [client.get("/t/acme/").status_code for client in (here, second, third)] == [200, 302, 302]


def test_someone_elses_session_cannot_be_ended(cast: Cast) -> None:
    alice = signed_in("a")
    page = alice.get("/sessions")
    mallory = signed_in("m", {"login": "mallory", "password": "demo-demo-demo"})
    assert mallory.post(f"/sessions/{page.context['sessions'][0]['id']}/end").status_code == 404
    assert alice.get("/t/acme/").status_code == 200
