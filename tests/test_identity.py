"""Who may do what, and how secrets withstand guessing."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from argon2 import PasswordHasher, profiles

from inspector.identity import (
    ATTEMPTS,
    LOCK_SECONDS,
    MAY,
    Action,
    Forbidden,
    IdentityError,
    LockedOut,
    Principal,
    Role,
    Unauthenticated,
    Users,
    authorise,
)
from inspector.identity import users as users_module

ROOT = Principal("setup", frozenset({Role.SYSTEM}))
ANN = Principal("ann", frozenset({Role.OPERATOR}))


hashed_as_shipped = users_module._hasher.hash("4711")


class Clock:
    """UTC in seconds that a test sets."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same argon2id with 8 KiB: what is tested here is what happens around it."""
    monkeypatch.setattr(users_module, "_hasher", PasswordHasher.from_parameters(profiles.CHEAPEST))


def test_people_s_secrets_cost_a_guesser_what_rfc_9106_recommends() -> None:
    assert hashed_as_shipped.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(tmp_path: Path, clock: Clock) -> Users:
    users = Users(tmp_path / "data", clock)
    users.add_user("ann", [Role.OPERATOR], pin="4711", principal=ROOT)
    return users


def test_every_action_has_its_row_and_somebody_in_it() -> None:
    assert set(MAY) == set(Action)
    assert all(MAY.values())


def test_an_auditor_changes_nothing() -> None:
    allowed = {action for action, roles in MAY.items() if Role.AUDITOR in roles}
    assert allowed == {Action.VIEW, Action.EXPORT, Action.READ_AUDIT}


def test_who_writes_a_recipe_does_not_approve_it() -> None:
    assert not MAY[Action.EDIT_RECIPE] & MAY[Action.APPROVE_RECIPE]


def test_a_refusal_says_who_and_what_it_needs() -> None:
    authorise(ANN, Action.PAUSE)
    with pytest.raises(
        Forbidden, match=r"ann \(operator\) may not bypass; it needs engineer or qa"
    ):
        authorise(ANN, Action.BYPASS)
    with pytest.raises(Forbidden, match="no role"):
        authorise(Principal("nobody", frozenset()), Action.VIEW)


def test_users_lie_in_a_file_that_others_cannot_read(users: Users, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "data" / "users.db").stat().st_mode) == 0o600
    assert b"4711" not in (tmp_path / "data" / "users.db").read_bytes()


def test_a_file_of_users_that_is_spoiled_lets_nobody_in_and_says_so(
    users: Users, tmp_path: Path
) -> None:
    file = next(tmp_path.rglob("users.db"))
    file.write_bytes(b"no database" * 999)
    with pytest.raises(IdentityError, match=r"users\.db: file is not a database; bring it back"):
        users.verify_password("anna", "anything at all")
    with pytest.raises(IdentityError, match=r"users\.db: file is not a database"):
        Users(file.parent)


def test_the_right_pin_names_its_principal(users: Users, tmp_path: Path, clock: Clock) -> None:
    assert users.verify_pin("ann", "4711") == ANN
    assert Users(tmp_path / "data", clock).verify_pin("ann", "4711") == ANN


def test_a_wrong_pin_and_an_unknown_user_get_the_same_words(users: Users) -> None:
    with pytest.raises(Unauthenticated) as wrong:
        users.verify_pin("ann", "4712")
    with pytest.raises(Unauthenticated) as unknown:
        users.verify_pin("bob", "4711")
    with pytest.raises(Unauthenticated):
        users.verify_password("ann", "4711")
    assert str(wrong.value) == str(unknown.value)


def test_guessing_is_locked_out_for_longer_and_longer(users: Users, clock: Clock) -> None:
    for _ in range(ATTEMPTS):
        with pytest.raises(Unauthenticated):
            users.verify_pin("ann", "0815")
    with pytest.raises(LockedOut) as first:
        users.verify_pin("ann", "4711")
    assert first.value.seconds == pytest.approx(LOCK_SECONDS)
    clock.now += LOCK_SECONDS + 1
    with pytest.raises(Unauthenticated):
        users.verify_pin("ann", "0815")
    with pytest.raises(LockedOut) as second:
        users.verify_pin("ann", "4711")
    assert second.value.seconds == pytest.approx(2 * LOCK_SECONDS)
    clock.now += 2 * LOCK_SECONDS + 1
    assert users.verify_pin("ann", "4711") == ANN


def test_guesses_made_side_by_side_do_not_pass_under_the_limit(users: Users) -> None:
    tried: list[type[Exception]] = []

    def guess() -> None:
        try:
            users.verify_pin("ann", "0815")
        except IdentityError as error:
            tried.append(type(error))

    threads = [threading.Thread(target=guess) for _ in range(3 * ATTEMPTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tried.count(Unauthenticated) == ATTEMPTS
    assert tried.count(LockedOut) == 2 * ATTEMPTS


def test_an_admin_lifts_a_lock_out_with_a_new_pin(users: Users) -> None:
    for _ in range(ATTEMPTS):
        with pytest.raises(Unauthenticated):
            users.verify_pin("ann", "0815")
    admin = Principal("adam", frozenset({Role.ADMIN}))
    users.set_pin("ann", "2580", principal=admin)
    assert users.verify_pin("ann", "2580") == ANN


def test_only_those_who_may_make_users(users: Users) -> None:
    for change in (
        lambda: users.add_user("eve", [Role.ADMIN], principal=ANN),
        lambda: users.set_roles("ann", [Role.ADMIN], principal=ANN),
        lambda: users.set_pin("ann", "2580", principal=ANN),
        lambda: users.add_key("ann", principal=ANN),
        lambda: users.disable("ann", principal=ANN),
    ):
        with pytest.raises(Forbidden):
            change()


@pytest.mark.parametrize("pin", ["", "12", "abcd", "1111", "1234", "9876", "٤٧١١"])
def test_unfit_pins_are_refused(users: Users, pin: str) -> None:
    with pytest.raises(IdentityError, match="PIN"):
        users.add_user("bob", [Role.QA], pin=pin, principal=ROOT)


def test_unfit_users_are_refused(users: Users) -> None:
    with pytest.raises(IdentityError, match="already"):
        users.add_user("ann", [Role.QA], principal=ROOT)
    with pytest.raises(IdentityError, match="no user name"):
        users.add_user("a b", [Role.QA], principal=ROOT)
    with pytest.raises(IdentityError, match="system"):
        users.add_user("bob", [Role.SYSTEM], principal=ROOT)
    with pytest.raises(IdentityError, match="at least"):
        users.add_user("bob", [Role.QA], password="short", principal=ROOT)
    with pytest.raises(IdentityError, match="no user"):
        users.add_key("bob", principal=ROOT)


def test_an_api_key_opens_until_it_is_revoked(users: Users, tmp_path: Path) -> None:
    users.add_user("mes", [Role.MACHINE], principal=ROOT)
    key = users.add_key("mes", "line 3", principal=ROOT)
    assert users.verify_key(key) == Principal("mes", frozenset({Role.MACHINE}))
    assert key.encode() not in (tmp_path / "data" / "users.db").read_bytes()
    with pytest.raises(Unauthenticated):
        users.verify_key(key[:-1] + ("A" if key[-1] != "A" else "B"))
    assert users.revoke_keys("mes", principal=ROOT) == 1
    with pytest.raises(Unauthenticated):
        users.verify_key(key)


def test_a_disabled_user_is_out_whatever_the_secret(users: Users) -> None:
    key = users.add_key("ann", principal=ROOT)
    users.disable("ann", principal=ROOT)
    with pytest.raises(Unauthenticated):
        users.verify_pin("ann", "4711")
    with pytest.raises(Unauthenticated):
        users.verify_key(key)
    assert users.all() == []
    users.enable("ann", principal=ROOT)
    assert users.verify_key(key) == ANN
