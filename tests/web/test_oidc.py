"""Signing in at a real provider: authorization code with PKCE, and every token that is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc.jwk import ECKey

from inspector.identity import Role


@pytest.fixture
def fair(provider: Any) -> Iterator[Any]:
    """The provider, as it should be before and after."""
    person, spoil, key = provider.person, provider.spoil, provider.signs_with
    yield provider
    provider.person, provider.spoil, provider.signs_with = person, spoil, key


def come_in(web: Any, client: Any, next: str = "/desk/audit") -> Any:
    """As a browser does it: there and back, all redirects followed but the last."""
    there = client.get(f"/login/oidc?next={next}")
    assert there.status_code == 303, there.text
    back = client.get(there.headers["location"])
    return client.get(back.headers["location"])


def test_a_person_comes_back_with_the_roles_that_the_providers_groups_mean(
    web: Any, fair: Any
) -> None:
    fair.person = {"preferred_username": "mei", "groups": ["plant-qa", "bowling"]}
    with web.client() as client:
        answer = come_in(web, client)
        assert (answer.status_code, answer.headers["location"]) == (303, "/desk/audit")
        said = client.get("/session").json()
        assert (said["user"], said["how"], said["roles"]) == ("mei", "oidc", ["qa"])
    asked = fair.asked[-1]
    assert len(asked["code_challenge"]) == 43
    assert asked["redirect_uri"] == f"{web.url}login/oidc/back"


@pytest.mark.parametrize(
    "spoilt",
    [
        {"iss": "http://evil.example"},
        {"aud": "another-application"},
        {"aud": ["station", "another"]},
        {"exp": int(time.time()) - 3600},
        {"nonce": "of another sign-in"},
        {"preferred_username": "../etc"},
        {"preferred_username": 7},
        {"groups": []},
        {"groups": ["bowling"]},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_us_lets_nobody_in(
    web: Any, fair: Any, spoilt: dict[str, Any]
) -> None:
    fair.spoil = lambda claims: claims | spoilt
    with web.client() as client:
        assert come_in(web, client).headers["location"] == "/login?why=provider_refused"
        assert client.get("/session").json()["user"] is None


def test_a_token_of_another_key_lets_nobody_in(web: Any, fair: Any) -> None:
    fair.signs_with = ECKey.generate_key("P-256", {"kid": "1"})
    with web.client() as client:
        assert come_in(web, client).headers["location"] == "/login?why=provider_refused"


def test_a_sign_in_belongs_to_the_browser_that_began_it_and_counts_once(
    web: Any, fair: Any
) -> None:
    with web.client() as victim, web.client() as attacker:
        there = attacker.get("/login/oidc")
        back = attacker.get(there.headers["location"]).headers["location"]
        assert victim.get(back).headers["location"] == "/login?why=provider_refused"
        assert victim.get("/session").json()["user"] is None
        assert attacker.get(back).headers["location"] == "/login?why=provider_refused"
        again = come_in(web, attacker)
        assert again.headers["location"] == "/desk/audit"


def test_a_browsers_mark_that_is_none_lets_nobody_in(web: Any, fair: Any) -> None:
    with web.client() as client:
        there = client.get("/login/oidc")
        back = client.get(there.headers["location"]).headers["location"]
        client.cookies.clear()
        mark = {"cookie": "inspector-flight=é".encode()}
        assert client.get(back, headers=mark).headers["location"] == "/login?why=provider_refused"


def test_who_is_disabled_here_does_not_come_in_by_the_provider(web: Any, fair: Any) -> None:
    from web.conftest import ADMIN

    web.users.add_user("olaf", [Role.QA], principal=ADMIN)
    web.users.disable("olaf", principal=ADMIN)
    fair.person = {"preferred_username": "olaf", "groups": ["plant-qa"]}
    with web.client() as client:
        assert come_in(web, client).headers["location"] == "/login?why=provider_refused"
