"""What the operator does at the page: every button of it is one route here.

Enters: requests of somebody who is signed in, each with what it needs. Leaves: the line's answer,
or why not; what belongs to the desk is recorded there in the person's name (I9). `app` mounts it;
`steps` has first article, clearance and challenge.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, StringConstraints

from inspector.bus import NoAnswer
from inspector.display import AlarmCode
from inspector.identity import Action
from inspector.part import Disposition, Mode
from inspector.store import History, StoreError
from inspector.store import batches as lives
from inspector.store.batches import Batches, Plan, Step, after
from inspector.store.holds import KIND as DISPOSITION
from inspector.store.signatures import Subject
from inspector.web.access import May, Refused
from inspector.web.desk import Desk
from inspector.web.drafts import names_of
from inspector.web.feed import Feed
from inspector.web.news import HELP, News
from inspector.web.pictures import newest_of
from inspector.web.sessions import Session
from inspector.web.signing import Given, put

LISTED, SCANNED = 50, 10_000
"""Orders that are offered, and those among which a scanned one is looked for."""
TEXT = Field(max_length=64, pattern=r"^[^\x00-\x1f]*$")
ID = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$")


class Why(BaseModel):
    """A reason, where there is one."""

    reason: str = Field("", max_length=500)


class SetMode(BaseModel):
    """A mode other than by-pass."""

    mode: Literal["auto", "setup", "cleaning"]


class Bypass(BaseModel):
    """Parts go by unjudged, for so long, and somebody signs for it."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        min_length=3, max_length=500
    )
    minutes: int = Field(ge=1, le=480)
    signature: Given


class Alarm(BaseModel):
    """An alarm that somebody has seen; without a code all of them."""

    code: AlarmCode | None = None


class Part(BaseModel):
    """One part, as the page showed it."""

    stream: str = Field(min_length=1, max_length=64)
    part: int = Field(ge=1, le=0xFFFF_FFFF)
    reason: str = Field("", max_length=500)


class Batch(BaseModel):
    """What is to be made."""

    id: Annotated[str, ID]
    product: Annotated[str, TEXT] = ""
    recipe: Annotated[str, TEXT] = ""
    texts: dict[str, Annotated[str, TEXT]] = Field(default_factory=dict, max_length=20)
    order: Annotated[str, TEXT] = ""
    target: int | None = Field(None, ge=1, le=10**9)


def router(desk: Desk, feed: Feed, news: News) -> APIRouter:
    """``/line/…``, ``/orders``, ``/recipes``, ``/batches/…``, ``/help``."""
    routes = APIRouter()

    @routes.post("/line/pause")
    def pause(asked: Why, who: Annotated[Session, May(Action.PAUSE)]) -> dict[str, Any]:
        return _told(desk, Action.PAUSE, {"reason": asked.reason}, who)

    @routes.post("/line/resume")
    def resume(asked: Why, who: Annotated[Session, May(Action.RESUME)]) -> dict[str, Any]:
        return _told(desk, Action.RESUME, {"reason": asked.reason}, who)

    @routes.post("/line/mode")
    def mode(asked: SetMode, who: Annotated[Session, May(Action.SET_MODE)]) -> dict[str, Any]:
        return _told(desk, Action.SET_MODE, {"mode": asked.mode}, who)

    @routes.post("/line/bypass")
    def bypass(
        asked: Bypass, request: Request, who: Annotated[Session, May(Action.BYPASS)]
    ) -> dict[str, Any]:
        now = feed.body
        content = {
            "reason": asked.reason, "minutes": asked.minutes, "batch": str(now.get("batch", "")),
            "recipe": str(now.get("recipe", "")),
        }  # fmt: skip
        subject = Subject.of("bypass", f"{desk.station.station}", content, content["batch"])  # type: ignore[arg-type]
        signature = put(desk, request, asked.signature, subject, "by-pass ordered", Action.BYPASS)
        signer = desk.users.find(signature.name)
        if signer is None:
            raise Refused(f"{signature.name} is no user of this station any more")
        args = {"mode": Mode.BYPASS, "reason": asked.reason, "minutes": asked.minutes}
        answer = desk.ask(Action.BYPASS, args | {"signature": signature.position}, signer)
        if not answer.ok:
            raise Refused(answer.error)
        return dict(answer.body)

    @routes.post("/line/acknowledge")
    def acknowledge(
        asked: Alarm, who: Annotated[Session, May(Action.ACKNOWLEDGE_ALARM)]
    ) -> dict[str, Any]:
        args = {"code": asked.code} if asked.code else {}
        return _told(desk, Action.ACKNOWLEDGE_ALARM, args, who)

    @routes.post("/line/reject")
    def reject(asked: Part, who: Annotated[Session, May(Action.REJECT)]) -> dict[str, Any]:
        """At the gate where it can still be, and on hold wherever it is by now."""
        gate, why = "passed", ""
        args = {"stream": asked.stream, "part": asked.part, "reason": asked.reason}
        try:
            answer = desk.ask(Action.REJECT, args, who.principal)
            gate, why = ("pending", "") if answer.ok else ("passed", answer.error)
        except NoAnswer as error:
            gate, why = "unknown", str(error)
        body = {
            "cause": "reject",
            "disposition": Disposition.HOLD,
            "reason": asked.reason or "by hand",
            "requester": who.principal.id,
            "runs": [[asked.stream, asked.part, asked.part]],
            "gate": gate,
        }
        desk.record(DISPOSITION, body, who.principal)
        return {"gate": gate, "why": why}

    @routes.get("/orders")
    def orders(who: Annotated[Session, May(Action.VIEW)], code: str = "") -> dict[str, Any]:
        """What is planned, the newest first; with ``code`` (an order's or a batch's) that alone."""
        with Batches(desk.data) as batches:
            return {"orders": _orders(batches, code.strip())}

    @routes.get("/recipes")
    def recipes(who: Annotated[Session, May(Action.VIEW)]) -> dict[str, Any]:
        """Those that are loaded, each with its newest picture."""
        return {"recipes": [_recipe(desk, name) for name in names_of(desk.station)]}

    @routes.post("/batches/start")
    def start(asked: Batch, who: Annotated[Session, May(Action.START_BATCH)]) -> dict[str, Any]:
        return _begun(desk, asked, who, Action.START_BATCH)

    @routes.post("/batches/change")
    def change(asked: Batch, who: Annotated[Session, May(Action.CHANGE_OVER)]) -> dict[str, Any]:
        if not asked.recipe:
            raise Refused("which recipe? choose one of the list")
        return _begun(desk, asked, who, Action.CHANGE_OVER)

    @routes.post("/batches/end")
    def end(who: Annotated[Session, May(Action.END_BATCH)]) -> dict[str, Any]:
        return _told(desk, Action.END_BATCH, {}, who)

    @routes.post("/help")
    def call(asked: Why, who: Annotated[Session, May(Action.CALL_HELP)]) -> dict[str, Any]:
        desk.record(HELP, {"action": "call", "reason": asked.reason}, who.principal)
        news.called(who.principal.id, asked.reason)
        return {}

    @routes.post("/help/come")
    def come(who: Annotated[Session, May(Action.CALL_HELP)]) -> dict[str, Any]:
        desk.record(HELP, {"action": "come"}, who.principal)
        news.come()
        return {}

    return routes


def _told(desk: Desk, action: Action, args: Mapping[str, Any], who: Session) -> dict[str, Any]:
    answer = desk.ask(action, args, who.principal)
    if not answer.ok:
        raise Refused(answer.error)
    return dict(answer.body)


def _begun(desk: Desk, asked: Batch, who: Session, action: Action) -> dict[str, Any]:
    with History(desk.data) as history, Batches(desk.data) as batches:
        life = batches.life(history, desk.holds, asked.id)
        known = batches.plan(asked.id) or Plan()
        runs = life.state is lives.State.RUNNING and not life.ended
        if not (runs and action is Action.CHANGE_OVER):
            after(asked.id, life, Step.START)
    batch = {"id": asked.id, "product": asked.product, "texts": asked.texts}
    args: dict[str, Any] = (
        {"recipe": asked.recipe, "batch": batch}
        if action is Action.CHANGE_OVER
        else batch | ({"recipe": asked.recipe} if asked.recipe else {})
    )
    said = _told(desk, action, args, who)
    plan = {
        "action": Step.START, "batch": asked.id, "product": asked.product,
        "recipe": asked.recipe or str(said.get("recipe", "")).split("@")[0], "texts": asked.texts,
        "order": asked.order or known.order, "target": asked.target or known.target,
        "operator": who.principal.id,
    }  # fmt: skip
    desk.record(lives.KIND, plan, who.principal)
    return said


def _orders(batches: Batches, code: str) -> list[dict[str, Any]]:
    found = (
        _order(id, plan)
        for id, _ in batches.planned(limit=SCANNED if code else LISTED)
        if (plan := batches.plan(id)) is not None
    )
    wanted = (one for one in found if not code or code in (one["id"], one["order"]))
    return list(islice(wanted, LISTED))


def _order(id: str, plan: Plan) -> dict[str, Any]:
    return {
        "id": id, "order": plan.order, "product": plan.product, "recipe": plan.recipe,
        "texts": dict(plan.texts), "target": plan.target,
    }  # fmt: skip


def _recipe(desk: Desk, name: str) -> dict[str, Any]:
    try:
        with desk.history() as history:
            picture = newest_of(history, name)
    except StoreError:
        picture = None
    return {"name": name, "picture": picture}
