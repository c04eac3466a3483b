"""Electronic signatures: given anew each time, bound to what was signed, missed when taken out.

After 21 CFR Part 11, 11.50 (name, time, meaning), 11.70 (linked to the record) and 11.200 (two
components, each time). They are desk records, so a changed or removed one is found (I4), and each
names who gave it (I9).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from inspector import store
from inspector.identity import Action, Forbidden, Principal, Role, Unauthenticated, Users, authorise
from inspector.store import DeskLedger, RecordError, StoreError
from inspector.store.signatures import KIND, Signature, Signatures, Subject, sign

ADMIN = Principal("setup", frozenset({Role.ADMIN}))
SHEET = {"batch": "B1", "steps": [{"name": "golden parts pass", "ok": True, "parts": 3}]}


def may_review(who: Principal) -> None:
    authorise(who, Action.REVIEW)


@pytest.fixture
def users(tmp_path: Path) -> Users:
    users = Users(tmp_path)
    users.add_user("quinn", [Role.QA], pin="4711", password="a long secret", principal=ADMIN)
    users.add_user("otto", [Role.OPERATOR], pin="5813", principal=ADMIN)
    return users


def signed(users: Users, data: Path, subject: Subject, **given: str) -> Signature:
    given = {"user": "quinn", "secret": "4711", "by": "pin", "meaning": "approved"} | given
    user, secret = given.pop("user"), given.pop("secret")
    return sign(data, users, user, secret, subject=subject, may=may_review, **given)  # type: ignore[arg-type]


def test_a_signature_says_who_when_meaning_what_under_what(users: Users, tmp_path: Path) -> None:
    subject = Subject.of("first_article", "7", SHEET, batch="B1")
    given = signed(users, tmp_path, subject, remark="after the second try")
    with Signatures(tmp_path) as signatures:
        assert signatures.of("first_article", "7") == (given,)
        assert signatures.under(subject) == (given,)
        assert signatures.of("first_article", "8") == ()
    assert (given.name, given.meaning, given.by) == ("quinn", "approved", "pin")
    assert given.batch == "B1" and given.remark == "after the second try" and given.utc_ns > 0


def test_it_does_not_hold_for_another_subject_or_for_changed_content(
    users: Users, tmp_path: Path
) -> None:
    given = signed(users, tmp_path, Subject.of("first_article", "7", SHEET))
    assert given.fits(Subject.of("first_article", "7", dict(reversed(SHEET.items()))))
    assert not given.fits(Subject.of("first_article", "8", SHEET))
    assert not given.fits(Subject.of("line_clearance", "7", SHEET))
    assert not given.fits(Subject.of("first_article", "7", SHEET | {"batch": "B2"}))


def test_a_signature_copied_to_another_subject_does_not_fit_it(
    users: Users, tmp_path: Path
) -> None:
    given = signed(users, tmp_path, Subject.of("first_article", "7", SHEET))
    with DeskLedger.open(tmp_path) as desk:  # whoever can write the desk forges a copy
        body = {"meaning": "approved", "kind": "first_article", "subject": "8",
                "sha256": given.sha256, "by": "pin"}  # fmt: skip
        desk.add(KIND, body, "quinn")
    with Signatures(tmp_path) as signatures:
        assert len(signatures.of("first_article", "8")) == 1
        assert signatures.under(Subject.of("first_article", "8", SHEET)) == ()


def test_a_record_of_the_desk_is_signed_byte_for_byte(users: Users, tmp_path: Path) -> None:
    with DeskLedger.open(tmp_path) as desk:
        first = desk.add("review", {"part": "p", "result": "false reject"}, "quinn")
        twin = desk.add("review", {"part": "p", "result": "false reject"}, "quinn")
    given = signed(users, tmp_path, Subject.record(tmp_path, first), meaning="reviewed")
    assert given.fits(Subject.record(tmp_path, first))
    assert not given.fits(Subject.record(tmp_path, twin))
    with pytest.raises(StoreError, match="99 is not here"):
        Subject.record(tmp_path, 99)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"secret": "0815"}, Unauthenticated),
        ({"by": "password"}, Unauthenticated),
        ({"user": "nobody"}, Unauthenticated),
        ({"user": "otto", "secret": "5813"}, Forbidden),
        ({"by": "session"}, RecordError),
        ({"meaning": " "}, RecordError),
    ],
)
def test_nothing_is_written_without_the_right_secret_role_and_meaning(
    users: Users, tmp_path: Path, given: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        signed(users, tmp_path, Subject.of("first_article", "7", SHEET), **given)
    with Signatures(tmp_path) as signatures:
        assert signatures.of("first_article", "7") == ()


def test_a_password_signs_too(users: Users, tmp_path: Path) -> None:
    given = signed(
        users, tmp_path, Subject.of("recall", "r1", {}), secret="a long secret", by="password"
    )
    assert given.by == "password"


def test_one_that_is_taken_out_or_changed_is_found(users: Users, filled: Path) -> None:
    given = signed(users, filled, Subject.of("first_article", "7", SHEET))
    assert store.verify(filled).ok
    desk = sqlite3.connect(filled / "desk.db")
    (body,) = desk.execute(
        "SELECT body FROM record WHERE position = ?", (given.position,)
    ).fetchone()
    desk.execute(
        "UPDATE record SET body = ? WHERE position = ?",
        (body.replace(b"approved", b"declined"), given.position),
    )
    desk.commit()
    assert not store.verify(filled).ok
    desk.execute("DELETE FROM record WHERE position = ?", (given.position,))
    desk.commit()
    desk.close()
    assert not store.verify(filled).ok


def test_the_index_is_made_anew_when_it_is_gone(users: Users, tmp_path: Path) -> None:
    subject = Subject.of("first_article", "7", SHEET)
    given = signed(users, tmp_path, subject)
    (tmp_path / "signatures.db").unlink()
    with Signatures(tmp_path) as signatures:
        assert signatures.under(subject) == (given,)
