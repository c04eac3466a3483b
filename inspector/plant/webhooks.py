"""Webhooks: what happens is posted to whoever subscribed, signed, in order, until it arrives.

Enters: the tails of both ledgers, subscriptions from the station file and by API. Leaves: HTTP
requests after `Standard Webhooks <https://www.standardwebhooks.com>`_ (``webhook-id``,
``webhook-timestamp``, ``webhook-signature``: HMAC-SHA256 over ``id.timestamp.body``), from an
outbox on disk. A receiver that is away delays nobody else, and within a batch nothing overtakes.
``app.py`` imports it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import anyio.to_thread
import httpx
import structlog
from fastapi import APIRouter
from fastapi import Path as PathParameter
from pydantic import Field

from inspector.identity import Action, authorise
from inspector.plant.access import PROBLEMS, Viewer, Writer
from inspector.plant.desk import Desk
from inspector.plant.events import At, news, taken_up
from inspector.plant.outbox import Message, Outbox
from inspector.plant.problems import Problem
from inspector.plant.requests import Done
from inspector.plant.tasks import end, look, together
from inspector.plant.times import now
from inspector.plant.words import Asked, Said
from inspector.store import StoreError
from inspector.store.related import desk_records

log = structlog.get_logger()

KIND = "webhook"
"""Kind of the desk's records of subscriptions."""
READER = "webhooks"
LOOK_S = 0.2
KEEP_S = 5.0
"""How often the place is kept while nothing is owed; each time costs an fsync."""
TIMEOUT_S = 10.0
AT_ONCE = 8
"""Requests on the way at once, to each receiver."""
ALARMS = {
    "drift": "drift",
    "challenge_failed": "challenge.failed",
    "challenge_due": "challenge.due",
    "maintenance": "maintenance",
}
"""Alarms that have an event name of their own."""
NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"
HookName = Annotated[str, PathParameter(pattern=NAME)]
Pattern = Annotated[str, Field(pattern=r"^[a-z0-9_.*-]{1,64}$")]


class WebhookWords(Asked):
    """Somebody who is to be told."""

    name: Annotated[str, Field(pattern=NAME)]
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#\x00]+[^\s\x00]*$", max_length=1000)]
    events: list[Pattern] = Field(min_length=1, max_length=50)
    """Patterns of event names, such as ``part.reject``, ``batch.*`` or ``*``."""


class WebhookSaid(Said):
    name: str
    url: str
    events: list[str]
    source: str
    """``file``: the station file; ``api``: this interface."""
    waiting: int
    given_up: int
    """Messages that did not arrive in three days."""
    error: str
    """Why the last attempt failed; empty when all have arrived."""


class WebhookMade(Said):
    id: str
    name: str
    url: str
    events: list[str]
    secret: str | None = None
    """The key of the signatures, shown this once."""


class WebhookList(Said):
    items: list[WebhookSaid]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told of what."""

    name: str
    url: str
    events: tuple[str, ...]
    secret: Path
    source: str
    packs: bool = False
    """It is another station that is told what was packed (``packing.py``): the file holds an API
    key, and a message is a request."""

    def wants(self, kind: str) -> bool:
        """Whether an event of this name is for it."""
        return any(fnmatchcase(kind, pattern) for pattern in self.events)


class Webhooks:
    """All subscriptions of a station, and their deliveries."""

    def __init__(self, desk: Desk, outbox: Outbox) -> None:
        self._desk, self.outbox = desk, outbox
        self._at: At | None = None
        self._idle = False
        """Nobody had subscribed: who comes now hears what happens from now on."""
        self._kept = 0.0
        self.subscriptions: Mapping[str, Subscription] = {}
        self.look_up()

    def look_up(self) -> None:
        """The subscriptions as file and desk have them now."""
        assert self._desk.station.plant is not None
        found: dict[str, Subscription] = {}
        for record in desk_records(self._desk.data, KIND):
            body = record.body
            name = str(body["name"])
            if body.get("action") == "unsubscribe":
                found.pop(name, None)
            else:
                found[name] = Subscription(
                    name, str(body["url"]), tuple(body["events"]), self.secret_file(name), "api"
                )
        for hook in self._desk.station.plant.webhooks:
            found[hook.name] = Subscription(hook.name, hook.url, hook.events, hook.secret, "file")
        for one in self._desk.station.plant.packs:
            url = f"{one.url.rstrip('/')}/api/v1/links"
            found[one.name] = Subscription(one.name, url, (), one.key, "file", packs=True)
        self.subscriptions = found

    def secret_file(self, name: str) -> Path:
        """Where the secret of a subscription by API is kept; it is in no ledger."""
        return self._desk.data / "webhooks" / f"{name}.secret"

    async def run(self) -> None:
        """Read and deliver until cancelled."""
        await together(look(self.step, "webhooks wait", LOOK_S), self._deliver())

    async def _deliver(self) -> None:
        at_work: dict[str, asyncio.Task[None]] = {}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False) as client:
                while True:
                    for name in await anyio.to_thread.run_sync(self._owed):
                        if name not in at_work or at_work[name].done():
                            at_work[name] = asyncio.create_task(self._tell(client, name))
                    await asyncio.sleep(LOOK_S)
        finally:
            await end(*at_work.values())

    def step(self) -> bool:
        """Put into the outbox what has happened; whether there may be more."""
        if not self.subscriptions:
            if not self._idle:  # on disk too: who comes after a restart hears nothing older either
                self.outbox.leave(READER)
            self._at, self._idle = None, True
            return False
        if self._at is None:
            known = None if self._idle else self.outbox.place(READER)
            self._at, self._idle = taken_up(self._desk, known), False
            self._keep(self._at, [])
        events, at = news(self._desk, self._at)
        if at == self._at:
            return False
        messages = [
            message
            for _, kind, data in events
            for message in self._messages(event_name(kind, data), data)
        ]
        # A place alone need not be kept at once: what is read again makes no message twice.
        if messages or time.monotonic() - self._kept > KEEP_S:
            self._keep(at, messages)
        self._at = at
        return bool(events)

    def _keep(self, at: At, messages: list[Message]) -> None:
        self.outbox.read(READER, at.line, at.desk, messages, time.time())
        self._kept = time.monotonic()

    def _messages(self, kind: str, data: Mapping[str, Any]) -> list[Message]:
        station = self._desk.station
        place = (
            f"desk-{data['desk_position']}"
            if "desk_position" in data
            else f"line-{data['position']}"
        )
        # After a back-up was brought back a place is taken again, by something else.
        what = hashlib.sha256(json.dumps(dict(data), default=str).encode()).hexdigest()[:8]
        id = f"{station.station}-{place}-{what}"
        body = {
            "type": kind,
            "timestamp": data.get("at") or now().isoformat(),
            "station": station.station,
            "site": station.site,
            "data": dict(data),
        }
        key = str(data.get("batch") or "")
        return [
            Message(name, key, id, kind, body)
            for name, subscription in self.subscriptions.items()
            if subscription.wants(kind)
        ]

    def _owed(self) -> list[str]:
        try:
            return self.outbox.receivers()
        except StoreError as error:
            log.error("the outbox cannot be read", why=str(error))
            return []

    async def _tell(self, client: httpx.AsyncClient, receiver: str) -> None:
        """All that one receiver may be sent now: each has a task of its own and waits for none."""
        try:
            while ready := await anyio.to_thread.run_sync(self._due, receiver):
                async with asyncio.TaskGroup() as group:
                    for message in ready:
                        group.create_task(self._send(client, message))
        except* Exception as failed:  # the next look begins anew
            log.error("messages wait", name=receiver, why=str(failed.exceptions[0]))

    def _due(self, receiver: str) -> list[Message]:
        return self.outbox.due(time.time(), AT_ONCE, receiver)[0]

    async def _send(self, client: httpx.AsyncClient, message: Message) -> None:
        subscription = self.subscriptions.get(message.receiver)
        if subscription is None:
            await anyio.to_thread.run_sync(self.outbox.forget, message.receiver)
            return
        body = json.dumps(message.body, ensure_ascii=False).encode("utf-8", "replace")
        try:
            text = await anyio.to_thread.run_sync(subscription.secret.read_text)
            if subscription.packs:
                headers = asking(text.strip(), message.id)
            else:
                headers = signed(secret_of(text), message.id, int(time.time()), body)
            async with asyncio.timeout(TIMEOUT_S):  # also for one that answers drop by drop
                answer = await client.post(subscription.url, content=body, headers=headers)
            error = "" if answer.is_success else f"HTTP {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as failure:
            error = f"{type(failure).__name__}: {failure}"
        if not error:
            await anyio.to_thread.run_sync(self.outbox.delivered, message)
            return
        log.warning("a webhook did not arrive", name=message.receiver, id=message.id, why=error)
        given_up = await anyio.to_thread.run_sync(self.outbox.failed, message, error, time.time())
        if given_up:
            log.error("a webhook is given up", name=message.receiver, id=message.id)


def event_name(kind: str, data: Mapping[str, Any]) -> str:
    """An event's name for webhooks: what some alarms are about stands in the name."""
    return ALARMS.get(str(data.get("code")), kind) if kind == "alarm" else kind


def signed(secret: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a message, after Standard Webhooks 1.0.0."""
    said = f"{id}.{timestamp}.".encode() + body
    mac = base64.b64encode(hmac.new(secret, said, hashlib.sha256).digest()).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{mac}",
    }


def asking(key: str, id: str) -> dict[str, str]:
    """The headers of a request to another station's interface."""
    return {"Content-Type": "application/json", "X-API-Key": key, "Idempotency-Key": id}


def secret_of(text: str) -> bytes:
    """The key in a secret's text: ``whsec_`` and base64, or any text as it is. Raises
    ``ValueError`` where it is shorter than 16 bytes."""
    text = text.strip()
    match = re.fullmatch(r"whsec_([A-Za-z0-9+/=]+)", text)
    secret = base64.b64decode(match[1]) if match else text.encode()
    if len(secret) < 16:
        raise ValueError("the webhook's secret is too short: 16 bytes at least")
    return secret


def router(desk: Desk, hooks: Webhooks) -> APIRouter:
    """``/webhooks``."""
    routes = APIRouter(tags=["webhooks"], responses=PROBLEMS)

    @routes.get("/webhooks")
    def get_webhooks(who: Viewer) -> WebhookList:
        """Who is told of what, and what each is still owed."""
        items = []
        for subscription in hooks.subscriptions.values():
            owed = hooks.outbox.owed(subscription.name)
            items.append(
                WebhookSaid(
                    name=subscription.name,
                    url=subscription.url,
                    events=list(subscription.events),
                    source=subscription.source,
                    waiting=owed.waiting,
                    given_up=owed.given_up,
                    error=owed.error,
                )
            )
        return WebhookList(items=items)

    @routes.post("/webhooks", status_code=201)
    def post_webhook(asked: WebhookWords, by: Writer) -> WebhookMade:
        """Subscribe to what happens from now on. The answer holds the secret that signs each
        message, this once."""
        authorise(by.who, Action.CONFIGURE)
        secret: str | None = None

        def act() -> Done:
            nonlocal secret
            if asked.name in hooks.subscriptions:
                raise Problem(409, "name-taken", f"there is already a webhook {asked.name!r}")
            secret = _keep_secret(hooks.secret_file(asked.name))
            body = {"name": asked.name, "url": asked.url, "events": list(asked.events)}
            return Done(KIND, 201, {"id": str(uuid4())} | body, {"action": "subscribe"} | body)

        named = {"POST": "/webhooks", "body": asked.model_dump()}
        said = by.once(desk.requests, named, act, WebhookMade)
        hooks.look_up()
        return said.model_copy(update={"secret": secret})

    @routes.delete("/webhooks/{name}")
    def delete_webhook(name: HookName, by: Writer) -> WebhookMade:
        """Tell it no more; what it is still owed is dropped."""
        authorise(by.who, Action.CONFIGURE)

        def act() -> Done:
            found = hooks.subscriptions.get(name)
            if found is None:
                raise Problem(404, "unknown-webhook", f"there is no webhook {name!r}")
            if found.source == "file":
                raise Problem(409, "in-the-file", f"webhook {name!r} is the station file's own")
            body = {"name": name, "url": found.url, "events": list(found.events)}
            record = {"action": "unsubscribe", "name": name}
            return Done(KIND, 200, {"id": str(uuid4())} | body, record)

        said = by.once(desk.requests, {"DELETE": f"/webhooks/{name}"}, act, WebhookMade)
        hooks.look_up()
        if name not in hooks.subscriptions:  # the request may come again behind another one
            hooks.outbox.forget(name)
            hooks.secret_file(name).unlink(missing_ok=True)
        return said

    return routes


def _keep_secret(file: Path) -> str:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    handle = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(text)
    return text
