"""People sign: first articles and line clearances, and the line produces after it.

Enters: who, with a PIN or password; the station's data and run directory. Leaves: the signature at
the desk and the line released, or a sentence that says what is missing. Pages and the command line
import this. Challenge tests are asked for here, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from inspector.bus import give
from inspector.config import Challenge
from inspector.display import DisplayReader, Topic
from inspector.identity import Action, Principal, Users, authorise
from inspector.quality.errors import QualityError
from inspector.quality.first_article import KIND as ARTICLE
from inspector.store import DeskLedger, History
from inspector.store.cursor import newest_desk
from inspector.store.signatures import Signature, Signatures, Subject, sign

CLEARANCE = "line_clearance"
"""Of the desk's records and of the signature under them."""
CHECKS = (
    "no part of the old batch is on the belt, in the infeed or at the gate",
    "the reject bin is emptied and its parts are counted",
    "labels, packaging and papers of the old batch are gone",
    "material for the new batch is the ordered one",
)
"""What a line clearance says; whoever signs has looked at each."""
STATUS_S = 2.0


@dataclass(frozen=True, slots=True)
class Awaited:
    """What the line waits for."""

    id: str
    """Empty: nothing; it is released."""
    needs: tuple[str, ...]
    batch: str
    recipe: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """As the line's heartbeat says it, and its setting."""
        return cls(
            str(body.get("awaits") or ""), tuple(body.get("needs") or ()),
            str(body.get("batch") or ""), str(body.get("recipe") or ""),
        )  # fmt: skip


def awaited(run: Path) -> Awaited:
    """What the running line waits for. Raises ``QualityError`` if it does not run."""
    reader = DisplayReader(run, Topic.STATUS)
    try:
        message = reader.receive(STATUS_S)
    finally:
        reader.close()
    if message is None:
        raise QualityError("the line is not running; start it with `inspector run STATION`")
    return Awaited.of(message.body)


def article(data: Path, id: str) -> Mapping[str, Any] | None:
    """The newest sheet of the first article ``id``; None before its parts have come."""
    with History(data) as history:
        for _, record in newest_desk(history, ARTICLE, 50):
            if record.body.get("id") == id:
                return record.body
    return None


def article_subject(sheet: Mapping[str, Any]) -> Subject:
    """What is signed under a first article."""
    return Subject.of(ARTICLE, str(sheet["id"]), sheet, str(sheet.get("batch", "")))


def sign_article(
    data: Path, run: Path, user: str, secret: str, *, by: str = "pin", remark: str = ""
) -> Signature:
    """Sign the first article that the line awaits, and release the line if that was all.

    Raises:
        QualityError: none is awaited, its parts have not come, or a step failed.
        IdentityError: the secret is wrong, or ``user`` may not.
    """
    wanted = awaited(run)
    if ARTICLE not in wanted.needs:
        raise QualityError("no first article is awaited; the line is released for it")
    sheet = article(data, wanted.id)
    if sheet is None:
        raise QualityError("the parts of the list have not come yet; feed them in its order")
    if not sheet["passed"]:
        raise QualityError(
            f"the first article failed: {sheet['failed'] or 'see its list'}; mend the cause and"
            " feed the list again"
        )
    users = Users(data)
    signature = sign(
        data, users, user, secret, by=by, meaning="first article approved",
        subject=article_subject(sheet), may=_may, remark=remark,
    )  # fmt: skip
    release(data, run, wanted, Principal(user, _roles(users, user)))
    return signature


def sign_clearance(
    data: Path, run: Path, user: str, secret: str, checked: Sequence[str], *, by: str = "pin",
    remark: str = "",
) -> Signature:  # fmt: skip
    """Sign that the line is clear for the batch that it awaits.

    Args:
        checked: every line of `CHECKS`.

    Raises:
        QualityError: none is awaited, or something was not checked.
        IdentityError: the secret is wrong, or ``user`` may not.
    """
    wanted = awaited(run)
    if CLEARANCE not in wanted.needs:
        raise QualityError("no line clearance is awaited")
    if missing := [check for check in CHECKS if check not in checked]:
        raise QualityError(f"not checked: {missing[0]}")
    body = {
        "id": wanted.id, "batch": wanted.batch, "recipe": wanted.recipe, "checks": list(CHECKS),
    }  # fmt: skip
    users = Users(data)
    signature = sign(
        data, users, user, secret, by=by, meaning="line clear",
        subject=Subject.of(CLEARANCE, wanted.id, body, wanted.batch), may=_may, remark=remark,
    )  # fmt: skip
    with DeskLedger.open(data) as desk:
        desk.add(CLEARANCE, body | {"signature": signature.position}, user)
    release(data, run, wanted, Principal(user, _roles(users, user)))
    return signature


def release(data: Path, run: Path, wanted: Awaited, principal: Principal) -> bool:
    """Release the line if everything that it needs is signed; whether it was.

    Raises:
        QualityError: the line refused.
        NoAnswer: it does not answer; the quality process goes on trying.
    """
    positions = []
    with Signatures(data) as signatures:
        for kind in wanted.needs:
            found = signatures.of(kind, wanted.id)
            if not found:
                return False
            positions.append(found[-1].position)
    args = {"id": wanted.id, "signatures": positions}
    answer = give(run, Action.RELEASE_LINE, args, principal)
    if not answer.ok:
        raise QualityError(f"the line is not released: {answer.error}")
    return True


def ask_challenge(run: Path, plan: Challenge | None, principal: Principal) -> Mapping[str, Any]:
    """The next parts are the seeded ones; which part numbers they will have.

    Raises:
        QualityError: the station has no seeded defects, or the line refused.
        NoAnswer: the line does not run.
    """
    if plan is None:
        raise QualityError("the station file has no `quality.challenge`: no seeded defects to feed")
    answer = give(run, Action.CHALLENGE, {"parts": len(plan.seeded)}, principal)
    if not answer.ok:
        raise QualityError(answer.error)
    return answer.body


def _may(who: Principal) -> None:
    authorise(who, Action.RELEASE_LINE)


def _roles(users: Users, user: str) -> frozenset[Any]:
    return next((p.roles for p in users.all() if p.id == user), frozenset())
