"""Signing in at a real provider: authorization code with PKCE, and every token that is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey

from inspector.config import Oidc
from inspector.identity import Role, Unauthenticated
from inspector.store.audit import trail
from inspector.web.oidc import Provider as Client


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
        {"groups": 7},
        {"groups": [["plant-qa"]]},
        {"exp": "soon"},
        {"iat": "now"},
        {"aud": 7},
        {"aud": None},
        {"iss": 7},
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


def about(**facts: str) -> tuple[Client, dict[str, Any]]:
    """A client of ours, with what a provider says of itself."""
    client = Client(Oidc(issuer="https://login.example", client_id="station"))
    issuer, there = "https://login.example", "https://login.example/authorize"
    known = {"issuer": issuer, "authorization_endpoint": there, **facts}
    client._facts, client._read = known, time.monotonic()
    return client, known


def leave(client: Client) -> tuple[str, str]:
    """Where somebody is sent; a browser's tests keep a loop in this thread."""
    with ThreadPoolExecutor(1) as other:
        there = client.leave("https://st-01/login/oidc/back", "/")
        return other.submit(asyncio.run, there).result()


def test_a_providers_own_question_stays_in_its_address() -> None:
    """Some name the sign-in's policy there; two question marks led nowhere."""
    client, _ = about(authorization_endpoint="https://login.example/authorize?p=plant")

    address, state = leave(client)

    asked = parse_qs(urlsplit(address).query)
    assert (asked["p"], asked["state"]) == (["plant"], [state])
    assert asked["response_type"] == ["code"]


def test_a_provider_that_says_nowhere_to_sign_in_is_told_in_words() -> None:
    client, facts = about()
    del facts["authorization_endpoint"]
    with pytest.raises(Unauthenticated, match="no authorization_endpoint"):
        leave(client)


def test_a_clients_secret_that_is_gone_is_a_refusal_on_record(web: Any, fair: Any) -> None:
    secret = web.data.parent / "secret"
    kept = secret.rename(secret.with_name("away"))
    try:
        with web.client() as client:
            assert come_in(web, client).headers["location"] == "/login?why=provider_refused"
    finally:
        kept.rename(secret)
    assert "its secret" in trail(web.data, limit=1).deeds[0].text
