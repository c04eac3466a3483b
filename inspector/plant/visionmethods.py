"""The methods of the vision system: who calls them, what the line is asked for, what is answered.

Enters: calls that the OPC UA server has let in. Leaves: commands on the bus in the caller's name,
one desk record each (I9), and answers after OPC 40100-1: ``Error`` is 0 when it was done, negative
for the station's own reasons. Who may not is told so before anything else is looked at.
``scada.py`` puts it together.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import anyio.to_thread
import structlog
from asyncua import Node, ua

from inspector.bus import NoAnswer
from inspector.config import ConfigError, read_yaml
from inspector.identity import Action, Forbidden, Principal, authorise
from inspector.part import Verdict
from inspector.plant.desk import Line
from inspector.plant.opcua import VisionServer
from inspector.plant.vision import PAUSES, RESUMES, Method
from inspector.plant.visionjobs import Job
from inspector.plant.visionpeople import CALLER
from inspector.plant.visionresults import (
    DONE,
    NO_ANSWER,
    NOT_RECORDED,
    REFUSED,
    UNKNOWN,
    Answered,
    Variants,
    VisionResults,
    cut,
    error_of,
    handle,
    listed,
)
from inspector.plant.visionspace import find, text_of
from inspector.store import DeskLedger, StoreError

log = structlog.get_logger()

HEARD_S = 1.0
"""How long a method waits for the line's heartbeat to show what it did; it comes every 200 ms."""

_STATE = ua.StatusCode(ua.StatusCodes.BadInvalidState)
_DENIED = ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
_NOT_HERE = ua.StatusCode(ua.StatusCodes.BadNotSupported)
_MISSING = ua.StatusCode(ua.StatusCodes.BadArgumentsMissing)
_TOO_MANY = ua.StatusCode(ua.StatusCodes.BadTooManyArguments)
_AUTOMATIC = "VisionStateMachine/AutomaticModeStateMachine"
Does: TypeAlias = "Callable[..., Awaitable[Answered]]"


class VisionMethods:
    """Answers every method of one vision system."""

    def __init__(self, server: VisionServer, line: Line) -> None:
        self._server, self._line = server, line
        self._results = VisionResults(server, line)
        self._single: tuple[Principal | None, Job] | None = None
        """Who started the newest single job."""
        self.recipes: dict[str, str] = {}
        """Product by recipe, as the station's files say."""
        for path in server.station.recipes:
            try:
                document = read_yaml(path)
            except ConfigError as error:
                log.warning("a recipe cannot be read", why=str(error))
                continue
            self.recipes[str(document.get("name"))] = str(document.get("product") or "")

    async def link(self) -> None:
        """Have the server call these."""
        machine, recipes = "VisionStateMachine", "RecipeManagement"
        configurations, results = "ConfigurationManagement", "ResultManagement"
        methods: Mapping[str, tuple[Action, Does]] = {
            f"{machine}/Halt": (Action.PAUSE, self._mover(Method.HALT)),
            f"{machine}/Reset": (Action.PAUSE, self._mover(Method.RESET)),
            f"{machine}/SelectModeAutomatic": (
                Action.PAUSE,
                self._mover(Method.SELECT_AUTOMATIC),
            ),
            f"{machine}/ConfirmAll": (Action.ACKNOWLEDGE_ALARM, self.confirm_all),
            f"{_AUTOMATIC}/StartSingleJob": (Action.RESUME, self._starter(Method.START_SINGLE)),
            f"{_AUTOMATIC}/StartContinuous": (
                Action.RESUME,
                self._starter(Method.START_CONTINUOUS),
            ),
            f"{_AUTOMATIC}/Stop": (Action.PAUSE, self._mover(Method.STOP)),
            f"{_AUTOMATIC}/Abort": (Action.PAUSE, self._mover(Method.ABORT)),
            f"{_AUTOMATIC}/SimulationMode": (Action.SET_MODE, self.not_here),
            f"{recipes}/PrepareRecipe": (Action.CHANGE_OVER, self.prepare_recipe),
            f"{recipes}/UnprepareRecipe": (Action.PAUSE, self.unprepare_recipe),
            f"{recipes}/PrepareProduct": (Action.CHANGE_OVER, self.prepare_product),
            f"{recipes}/GetRecipeListFiltered": (Action.VIEW, self.list_recipes),
            f"{recipes}/ReleaseRecipeHandle": (Action.VIEW, self.release_handle),
            f"{configurations}/GetConfigurationList": (Action.VIEW, self.list_configurations),
            f"{configurations}/GetConfigurationById": (Action.VIEW, self.get_configuration),
            f"{configurations}/ActivateConfiguration": (
                Action.CHANGE_OVER,
                self.activate_configuration,
            ),
            f"{configurations}/ReleaseConfigurationHandle": (Action.VIEW, self.release_handle),
            f"{results}/GetResultById": (Action.VIEW, self._results.by_id),
            f"{results}/GetResultListFiltered": (Action.VIEW, self._results.filtered),
            f"{results}/ReleaseResultHandle": (Action.VIEW, self.release_handle),
        }
        space = self._server.space
        for path, (action, does) in methods.items():
            inputs = await _inputs(await find(space.root, path))
            await space.link(path, _guarded(action, inputs, does))

    # The state machine.

    def _mover(self, method: Method) -> Callable[..., Awaitable[Answered]]:
        async def move(parent: ua.NodeId, *given: ua.Variant) -> Answered:
            cause = [str(v.Value) for v in given if v.Value is not None]
            done = await self._move(method, " ".join(cause))
            return done if isinstance(done, ua.StatusCode) else [error_of(done)]

        return move

    def _starter(self, method: Method) -> Callable[..., Awaitable[Answered]]:
        async def start(parent: ua.NodeId, *given: ua.Variant) -> Answered:
            server = self._server
            measurement, _, wanted, product, _ = (text_of(v.Value) for v in given)
            if not server.vision.may(method):
                return _STATE
            if product and not wanted and product != server.status.get("product"):
                wanted = self._recipe_of(product)
                if not wanted:
                    return self._job("", UNKNOWN)
            if wanted and wanted != self._recipe_now():
                changed = await self._change_over(wanted)
                if changed != DONE:
                    return changed if isinstance(changed, ua.StatusCode) else self._job("", changed)
            # Before the line starts: its first part may be judged before it has answered.
            job = server.jobs.begin(measurement, time.monotonic_ns())
            self._single = CALLER.get(), job
            done = await self._move(method, measurement)
            if done != DONE and done != NOT_RECORDED:
                server.jobs.undo(job)
                return done if isinstance(done, ua.StatusCode) else self._job("", done)
            if done == DONE:
                id = server.space.id("JobId", job.id)
                await server.tell("JobStartedEventType", job.id, JobId=id)
            return self._job(job.id, done)

        return start

    async def judged(self, verdict: Verdict) -> None:
        """A part was judged: a single job's ends it, and stops the line in its starter's name."""
        if self._single is None or not self._server.vision.single:
            return
        starter, job = self._single
        if not job.precedes(verdict):
            return
        self._server.vision.single = False
        token = CALLER.set(starter)
        try:
            asked = await self._ask(Action.PAUSE, {"reason": "OPC UA single job done"})
        finally:
            CALLER.reset(token)
        if asked != DONE:
            log.error(
                "the line was not stopped behind its single job", job=job.id, error=str(asked)
            )
        await self._heard_of(paused=True)

    def _job(self, job: str, error: int) -> Variants:
        space = self._server.space
        return [space.variant(space.id("JobId", job)), error_of(error)]

    async def _move(self, method: Method, why: str) -> int | ua.StatusCode:
        """One step of the state machine: the line obeys, the desk records, the state follows."""
        vision = self._server.vision
        if not vision.may(method):
            return _STATE
        asked: int | ua.StatusCode = DONE
        before = vision.single
        if method in RESUMES:
            vision.done(method)  # as early as the job: that part is the single one
            asked = await self._ask(Action.RESUME, {"reason": f"OPC UA {method} {why}".strip()})
        elif method in PAUSES and not vision.facts.paused and vision.facts.alive:
            asked = await self._ask(Action.PAUSE, {"reason": f"OPC UA {method} {why}".strip()})
        if asked != DONE:
            vision.single = before
            return asked
        recorded = await self._record(str(method), why)
        if method in RESUMES or method in PAUSES:
            await self._heard_of(method in PAUSES, method is Method.START_SINGLE)
        if method not in RESUMES:
            vision.done(method)
        await self._server.show()
        return recorded

    async def _heard_of(self, paused: bool, single: bool = False) -> None:
        """Until the line's heartbeat says what it has done; an older one would undo the state. A
        ``single`` job may be over between two, and none says that the line ran."""
        heartbeat, vision = self._line.heartbeat, self._server.vision
        until = time.monotonic() + HEARD_S
        while heartbeat.alive and bool(heartbeat.body.get("paused")) != paused:
            if time.monotonic() > until or (single and not vision.single):
                return
            await asyncio.sleep(0.02)
        await self._server.heard(heartbeat.body, heartbeat.alive)

    async def confirm_all(self, parent: ua.NodeId, comment: ua.Variant) -> Answered:
        """Acknowledge every alarm."""
        asked = await self._ask(Action.ACKNOWLEDGE_ALARM, {})
        if isinstance(asked, ua.StatusCode):
            return asked
        await self._record("ConfirmAll", getattr(comment.Value, "Text", "") or "")
        return [] if asked == DONE else ua.StatusCode(ua.StatusCodes.BadInvalidState)

    # Recipes.

    async def prepare_recipe(
        self, parent: ua.NodeId, external: ua.Variant, internal: ua.Variant
    ) -> Answered:
        """Change over to a recipe; parts that triggered before keep the old one."""
        return await self._prepare(text_of(external.Value) or text_of(internal.Value), True)

    async def prepare_product(self, parent: ua.NodeId, product: ua.Variant) -> Answered:
        """Change over to the recipe of a product."""
        return await self._prepare(self._recipe_of(text_of(product.Value)), False)

    async def _prepare(self, name: str, completed: bool) -> Answered:
        server = self._server
        if not server.vision.may(Method.PREPARE):
            return _STATE
        done = await self._change_over(name)
        if isinstance(done, ua.StatusCode):
            return done
        if done == DONE:
            server.vision.done(Method.PREPARE)
            done = await self._record(str(Method.PREPARE), name)
            await server.show()
            external = server.space.id("RecipeIdExternal", name)
            product = server.space.id("ProductId", self.recipes.get(name, ""))
            await server.tell(
                "RecipePreparedEventType", name, InternalId=server.recipe_id(name),
                ExternalId=external, ProductId=product,
            )  # fmt: skip
        return self._prepared(name, done, completed)

    async def unprepare_recipe(
        self, parent: ua.NodeId, external: ua.Variant, internal: ua.Variant
    ) -> Answered:
        """Take the recipe from the client's hands: nothing can be started until one is prepared."""
        done = await self._move(Method.UNPREPARE, "")
        if isinstance(done, ua.StatusCode):
            return done
        return self._prepared(self._recipe_now(), done, True)

    def _prepared(self, name: str, error: int, completed: bool) -> Variants:
        space = self._server.space
        id = space.variant(self._server.recipe_id(name))
        if not completed:
            return [id, error_of(error)]
        return [id, ua.Variant(error == DONE, ua.VariantType.Boolean), error_of(error)]

    async def list_recipes(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The station's recipes, of which one is prepared."""
        external, product = text_of(given[0].Value), text_of(given[1].Value)
        prepared, most, start = (int(v.Value or 0) for v in given[2:5])
        now = self._recipe_now() if self._server.vision.prepared else ""
        names = [
            name
            for name, made in sorted(self.recipes.items())
            if external in ("", name)
            and product in ("", made)
            and prepared in (2, int(name == now))
        ]
        shown = cut(names, start, most)
        ids = [self._server.recipe_id(name) for name in shown]
        return listed(self._server.space, len(names), start, ids, shown)

    # Configurations: one, the station file.

    async def list_configurations(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The only configuration."""
        most, start = int(given[0].Value or 0), int(given[1].Value or 0)
        made = cut([self._configuration()], start, most)
        return listed(self._server.space, 1, start, made, [self._server.station.station])

    async def get_configuration(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The configuration with this id."""
        known = text_of(given[0].Value) == self._server.station.station
        made = self._server.space.variant(self._configuration())
        return [handle(), made, error_of(DONE if known else UNKNOWN)]

    async def activate_configuration(self, parent: ua.NodeId, id: ua.Variant) -> Answered:
        """Nothing to do for the one that is active; another is unknown."""
        return [error_of(DONE if text_of(id.Value) == self._server.station.station else UNKNOWN)]

    def _configuration(self) -> Any:
        space = self._server.space
        if not space.official:
            return json.dumps({"id": self._server.station.station})
        return space.structure(
            "ConfigurationDataType",
            InternalId=self._server.configuration_id(),
            HasTransferableDataOnFile=False,
        )

    # What several of them need.

    async def not_here(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """A line that pretends to judge is none of ours: a challenge test shows real parts."""
        return _NOT_HERE

    async def release_handle(self, parent: ua.NodeId, handle: ua.Variant) -> Answered:
        """Handles hold nothing here: an answer is whole."""
        return [error_of(DONE)]

    def _recipe_now(self) -> str:
        return str(self._server.status.get("recipe", "")).partition("@")[0]

    def _recipe_of(self, product: str) -> str:
        return next(
            (name for name, made in self.recipes.items() if product and made == product), ""
        )

    async def _change_over(self, name: str) -> int | ua.StatusCode:
        if name not in self.recipes:
            return UNKNOWN
        return await self._ask(Action.CHANGE_OVER, {"recipe": name})

    async def _ask(self, action: Action, args: Mapping[str, Any]) -> int | ua.StatusCode:
        caller = CALLER.get()
        if caller is None:
            return _DENIED
        try:
            answer = await anyio.to_thread.run_sync(self._line.ask, action, args, caller)
        except Forbidden:
            return _DENIED
        except NoAnswer:
            return NO_ANSWER
        if not answer.ok:
            log.warning("the line refuses", action=str(action), why=answer.error)
            return REFUSED
        return DONE

    async def _record(self, method: str, why: str) -> int:
        caller = CALLER.get()
        assert caller is not None
        try:
            await anyio.to_thread.run_sync(self._write, method, why, caller.id)
        except StoreError as error:
            log.error("a method was not recorded", method=method, why=str(error))
            return NOT_RECORDED
        return DONE

    def _write(self, method: str, why: str, principal: str) -> None:
        with DeskLedger.open(self._line.data) as ledger:
            ledger.add("opcua", {"method": method, "why": why[:500]}, principal)


async def _inputs(method: Node) -> int:
    """How many arguments it takes; who takes none may have no such property."""
    try:
        return len(await (await find(method, "InputArguments")).read_value() or ())
    except KeyError:
        return 0


def _guarded(action: Action, inputs: int, does: Does) -> Does:
    """``does`` for those who may do ``action``, and who give as many ``inputs`` as it takes."""

    async def call(parent: ua.NodeId, *given: ua.Variant) -> Answered:
        caller = CALLER.get()
        try:
            if caller is None:
                return _DENIED
            authorise(caller, action)
        except Forbidden:
            return _DENIED
        if len(given) != inputs:
            return _MISSING if len(given) < inputs else _TOO_MANY
        return await does(parent, *given)

    return call
