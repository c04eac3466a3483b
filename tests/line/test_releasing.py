"""What a job awaits before a part of it may pass, and whose word the line takes for it (I2, I9)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inspector.config import Quality
from inspector.identity import Principal, Role, Users
from inspector.line.changeover import Job, Plan
from inspector.line.releasing import ARTICLE, CLEARANCE, Unsigned, awaiting, owed, signed
from inspector.part import Batch, Mode
from inspector.store import DeskLedger
from inspector.store.signatures import Subject, sign

BOTH = Quality.model_validate({"line_clearance": True, "first_article": {}})
ADMIN = Principal("setup", frozenset({Role.ADMIN}))


class Recipe:
    def __init__(self, name: str, digest: str) -> None:
        self.name, self.digest, self.revision = name, digest, 1


def job(batch: str, digest: str = "d1") -> Job:
    return Job(Recipe("water", digest), Batch(batch), "water@1", ("side",))  # type: ignore[arg-type]


def test_without_a_quality_section_nothing_is_awaited() -> None:
    assert awaiting(None, job("B-1"), None).awaits == ""
    assert owed(awaiting(Quality(), job("B-1"), None)) == {}


def test_the_first_job_a_new_batch_and_a_new_recipe_await_their_signatures() -> None:
    first = awaiting(BOTH, job("B-1"), None)
    assert first.needs == (CLEARANCE, ARTICLE) and len(first.awaits) == 32
    assert owed(first) == {"awaits": first.awaits, "needs": [CLEARANCE, ARTICLE]}
    released = replace(first, awaits="", needs=())
    assert awaiting(BOTH, job("B-1"), released).awaits == "", "the same job goes on"
    assert awaiting(BOTH, job("B-1", "d2"), released).needs == (ARTICLE,)
    assert awaiting(BOTH, job("B-2"), released).needs == (CLEARANCE, ARTICLE)


def test_batches_of_one_recipe_may_share_a_first_article() -> None:
    plan = Quality.model_validate({"first_article": {"each_batch": False}})
    released = job("B-1")
    assert awaiting(plan, job("B-2"), released).awaits == ""
    assert awaiting(plan, job("B-2", "d2"), released).needs == (ARTICLE,)


def test_another_change_over_does_not_shake_off_what_is_owed() -> None:
    first = awaiting(BOTH, job("B-1"), None)
    again = awaiting(BOTH, job("B-1"), first)
    assert again.needs == (CLEARANCE, ARTICLE) and again.awaits != first.awaits


def test_parts_are_set_up_until_the_job_is_released_from_a_part_on() -> None:
    plan = Plan(awaiting(BOTH, job("B-1"), None))
    assert plan.mode(5, Mode.AUTO) is Mode.SETUP and plan.mode(5, Mode.BYPASS) is Mode.SETUP
    assert plan.release(8) == 8
    assert plan.mode(7, Mode.AUTO) is Mode.SETUP and plan.mode(8, Mode.AUTO) is Mode.AUTO
    assert plan.at(8).batch.id == "B-1"


def test_a_change_planned_ahead_is_released_from_its_own_first_part() -> None:
    plan = Plan(job("B-1"))
    plan.change(awaiting(BOTH, job("B-2"), job("B-1")), 20)
    assert plan.release(8) == 20
    assert plan.mode(19, Mode.AUTO) is Mode.AUTO and plan.at(19).batch.id == "B-1"
    assert plan.mode(20, Mode.AUTO) is Mode.AUTO and plan.at(20).batch.id == "B-2"


def test_challenge_parts_are_those_asked_for_and_no_others() -> None:
    plan = Plan(job("B-1"))
    plan.challenged = range(4, 6)
    modes = [plan.mode(n, Mode.AUTO) for n in range(3, 7)]
    assert modes == [Mode.AUTO, Mode.CHALLENGE, Mode.CHALLENGE, Mode.AUTO]
    plan.renumber("plc-2")
    assert plan.mode(4, Mode.AUTO) is Mode.AUTO, "numbers that begin anew are other parts"


def test_the_line_takes_only_signatures_under_what_it_awaits(tmp_path: Path) -> None:
    users = Users(tmp_path)
    users.add_user("quinn", [Role.QA], pin="4711", principal=ADMIN)
    planned = awaiting(BOTH, job("B-1"), None)

    def give(kind: str, id: str) -> int:
        subject = Subject.of(kind, id, {})
        return sign(tmp_path, users, "quinn", "4711", by="pin", meaning="ok", subject=subject,
                    may=lambda who: None).position  # fmt: skip

    def claim(*positions: Any) -> dict[str, Any]:
        return {"id": planned.awaits, "signatures": list(positions)}

    other = give(ARTICLE, "another")
    with DeskLedger.open(tmp_path) as desk:
        no_signature = desk.add("review", {"kind": ARTICLE, "subject": planned.awaits}, "quinn")
    article = give(ARTICLE, planned.awaits)
    for claimed in (claim(), claim(other), claim(no_signature, article), claim(999, True, "x")):
        with pytest.raises(Unsigned, match="not signed"):
            signed(tmp_path, planned, claimed)
    with pytest.raises(Unsigned, match="not 'x'"):
        signed(tmp_path, planned, claim() | {"id": "x"})
    clearance = give(CLEARANCE, planned.awaits)
    found = signed(tmp_path, planned, claim(article, clearance))
    assert found == ["first_article: quinn", "line_clearance: quinn"]
    with pytest.raises(Unsigned, match="awaits no signature"):
        signed(tmp_path, job("B-1"), claim(article))
