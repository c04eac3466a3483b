"""Who is signed in, and for how long (I9, S16)."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from inspector.config import Web
from inspector.identity import Principal, Role, Users
from inspector.web.sessions import How, Sessions

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
ANNA = Principal("anna", frozenset({Role.OPERATOR}))


class Clock:
    """UTC in seconds, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(tmp_path: Path, clock: Clock) -> Sessions:
    users = Users(tmp_path)
    users.add_user("anna", [Role.OPERATOR], principal=ADMIN)
    return Sessions(tmp_path, users, Web(pin_idle_s=180, idle_s=1800, longest_s=43_200), clock)


def test_a_session_outlives_the_process_and_its_file_signs_nobody_in(
    tmp_path: Path, sessions: Sessions, clock: Clock
) -> None:
    token = sessions.begin(ANNA, How.PIN, "127.0.0.1")
    again = Sessions(tmp_path, Users(tmp_path), Web(), clock).find(token)
    assert again is not None
    assert again.principal == ANNA
    file = tmp_path / "sessions.db"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token.encode() not in file.read_bytes()


def test_who_touches_nothing_is_signed_out(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin(ANNA, How.PIN, "127.0.0.1")
    clock.now += 170
    assert sessions.find(token, touch=True) is not None
    clock.now += 170
    assert sessions.find(token) is not None
    clock.now += 11
    assert sessions.find(token) is None
    clock.now -= 100
    assert sessions.find(token) is None, "an ended session came back with the clock"


def test_looking_is_no_touch(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin(ANNA, How.PIN, "127.0.0.1")
    for _ in range(18):
        clock.now += 10.5
        sessions.find(token)
    assert sessions.find(token) is None


def test_a_shift_is_the_longest_however_busy(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin(ANNA, How.PASSWORD, "10.0.0.7")
    for _ in range(43_200 // 900 - 1):
        clock.now += 900
        assert sessions.find(token, touch=True) is not None
    clock.now += 901
    assert sessions.find(token, touch=True) is None


def test_who_is_disabled_or_loses_a_role_loses_it_at_once(
    tmp_path: Path, sessions: Sessions
) -> None:
    users = Users(tmp_path)
    token = sessions.begin(ANNA, How.PASSWORD, "10.0.0.7")
    users.set_roles("anna", [Role.AUDITOR], principal=ADMIN)
    found = sessions.find(token)
    assert found is not None
    assert found.principal.roles == {Role.AUDITOR}
    users.disable("anna", principal=ADMIN)
    assert sessions.find(token) is None
    users.enable("anna", principal=ADMIN)
    assert sessions.find(token) is None, "a session that has ended stays ended"


def test_somebody_is_signed_out_everywhere_but_here(sessions: Sessions) -> None:
    here, there = (sessions.begin(ANNA, How.PASSWORD, "10.0.0.7") for _ in range(2))
    other = sessions.begin(Principal("mei", frozenset({Role.QA})), How.OIDC, "10.0.0.7")
    sessions.end_all("anna", but=here)
    assert sessions.find(there) is None
    assert sessions.find(here) is not None
    sessions.end_all("anna")
    assert sessions.find(here) is None
    assert sessions.find(other) is not None


def test_a_clock_that_was_set_back_lengthens_nothing(sessions: Sessions, clock: Clock) -> None:
    token = sessions.begin(ANNA, How.PIN, "127.0.0.1")
    for _ in range(10):
        clock.now += 100
        assert sessions.find(token, touch=True) is not None
    clock.now -= 900
    assert sessions.find(token) is None, "nobody has been there for longer than a PIN holds"


def test_a_provider_gives_roles_but_not_to_who_is_disabled_here(
    tmp_path: Path, sessions: Sessions
) -> None:
    mei = Principal("mei", frozenset({Role.QA, Role.ENGINEER}))
    token = sessions.begin(mei, How.OIDC, "10.0.0.7")
    found = sessions.find(token)
    assert found is not None
    assert found.principal == mei
    users = Users(tmp_path)
    users.add_user("mei", [Role.QA], principal=ADMIN)
    users.disable("mei", principal=ADMIN)
    assert sessions.find(token) is None


def test_signing_out_ends_it(sessions: Sessions) -> None:
    token = sessions.begin(ANNA, How.PIN, "127.0.0.1")
    sessions.end(token)
    assert sessions.find(token) is None
    assert sessions.find("") is None
    assert sessions.find("x" * 1000) is None
