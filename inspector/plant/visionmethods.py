"""The methods of the vision system: who calls them, what the line is asked for, what is answered.

Enters: calls that the OPC UA server has let in. Leaves: commands on the bus in the caller's name,
one desk record each (I9), and answers after OPC 40100-1: ``Error`` is 0 when it was done, negative
for the station's own reasons. ``scada.py`` puts it together.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import structlog
from asyncua import ua

from inspector.bus import NoAnswer
from inspector.config import ConfigError, read_yaml
from inspector.identity import Action, Forbidden, Principal, authorise
from inspector.part import PartId, Verdict
from inspector.plant.desk import Line
from inspector.plant.opcua import CALLER, VisionServer, content_of, run_in
from inspector.plant.vision import PAUSES, RESUMES, Method
from inspector.plant.visionspace import text_of
from inspector.store import DeskLedger, StoreError

log = structlog.get_logger()

DONE, REFUSED, NO_ANSWER, UNKNOWN, NOT_RECORDED = 0, -1, -2, -3, -4
"""What ``Error`` says: done; the line refuses; it does not answer; no such thing; disk trouble."""
PAGE_MAX = 100
HEARD_S = 1.0
"""How long a method waits for the line's heartbeat to show what it did; it comes every 200 ms."""
SCAN_MAX = 2000
"""Parts that one filtered list looks at."""

Variants: TypeAlias = "list[ua.Variant]"
Answered: TypeAlias = "Variants | ua.StatusCode"
_STATE = ua.StatusCode(ua.StatusCodes.BadInvalidState)
_DENIED = ua.StatusCode(ua.StatusCodes.BadUserAccessDenied)
_NOT_HERE = ua.StatusCode(ua.StatusCodes.BadNotSupported)
_AUTOMATIC = "VisionStateMachine/AutomaticModeStateMachine"


class VisionMethods:
    """Answers every method of one vision system."""

    def __init__(self, server: VisionServer, line: Line) -> None:
        self._server, self._line = server, line
        # One thread: sqlite connections stay where they were made, and a client waits its turn.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="opcua")
        self._ledger: DeskLedger | None = None
        self._starter_of_single: Principal | None = None
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
        methods: Mapping[str, Callable[..., Awaitable[Answered]]] = {
            f"{machine}/Halt": self._mover(Method.HALT),
            f"{machine}/Reset": self._mover(Method.RESET),
            f"{machine}/SelectModeAutomatic": self._mover(Method.SELECT_AUTOMATIC),
            f"{machine}/ConfirmAll": self.confirm_all,
            f"{_AUTOMATIC}/StartSingleJob": self._starter(Method.START_SINGLE),
            f"{_AUTOMATIC}/StartContinuous": self._starter(Method.START_CONTINUOUS),
            f"{_AUTOMATIC}/Stop": self._mover(Method.STOP),
            f"{_AUTOMATIC}/Abort": self._mover(Method.ABORT),
            f"{_AUTOMATIC}/SimulationMode": self.not_here,
            f"{recipes}/PrepareRecipe": self.prepare_recipe,
            f"{recipes}/UnprepareRecipe": self.unprepare_recipe,
            f"{recipes}/PrepareProduct": self.prepare_product,
            f"{recipes}/GetRecipeListFiltered": self.list_recipes,
            f"{recipes}/ReleaseRecipeHandle": self.release_handle,
            f"{configurations}/GetConfigurationList": self.list_configurations,
            f"{configurations}/GetConfigurationById": self.get_configuration,
            f"{configurations}/ActivateConfiguration": self.activate_configuration,
            f"{configurations}/ReleaseConfigurationHandle": self.release_handle,
            f"{results}/GetResultById": self.get_result,
            f"{results}/GetResultListFiltered": self.list_results,
            f"{results}/ReleaseResultHandle": self.release_handle,
        }
        for path, method in methods.items():
            await self._server.space.link(path, method)

    def close(self) -> None:
        """Let go of the desk's ledger."""
        if self._ledger is not None:
            self._thread.submit(self._ledger.close).result(5)
        self._thread.shutdown()

    # The state machine.

    def _mover(self, method: Method) -> Callable[..., Awaitable[Answered]]:
        async def move(parent: ua.NodeId, *given: ua.Variant) -> Answered:
            cause = [str(v.Value) for v in given if v.Value is not None]
            done = await self._move(method, " ".join(cause))
            return done if isinstance(done, ua.StatusCode) else [_error(done)]

        return move

    def _starter(self, method: Method) -> Callable[..., Awaitable[Answered]]:
        async def start(parent: ua.NodeId, *given: ua.Variant) -> Answered:
            server = self._server
            measurement, _, wanted, product, *_ = (
                *(text_of(v.Value) for v in given),
                "",
                "",
                "",
                "",
            )
            wanted = wanted or self._recipe_of(product)
            if wanted and wanted != self._recipe_now():
                changed = await self._change_over(wanted)
                if changed is not DONE:
                    return changed if isinstance(changed, ua.StatusCode) else self._job("", changed)
            done = await self._move(method, measurement)
            if isinstance(done, ua.StatusCode):
                return done
            if done == DONE:
                self._starter_of_single = CALLER.get() if server.vision.single else None
                server.job, server.measurement = f"job-{uuid4().hex[:12]}", measurement
                job = server.space.id("Job", server.job)
                await server.tell("JobStartedEventType", server.job, JobId=job)
            return self._job(server.job, done)

        return start

    async def single_job_done(self) -> None:
        """The part of a single job was judged: the line stops, in the name of who started it."""
        starter, self._starter_of_single = self._starter_of_single, None
        self._server.vision.single = False
        token = CALLER.set(starter)
        try:
            await self._ask(Action.PAUSE, {"reason": "OPC UA single job done"})
        finally:
            CALLER.reset(token)
        await self._heard_of(paused=True)

    def _job(self, job: str, error: int) -> Variants:
        space = self._server.space
        return [space.variant(space.id("Job", job), ua.VariantType.String), _error(error)]

    async def _move(self, method: Method, why: str) -> int | ua.StatusCode:
        """One step of the state machine: the line obeys, the desk records, the state follows."""
        vision = self._server.vision
        if not vision.may(method):
            return _STATE
        if method in RESUMES:
            asked = await self._ask(Action.RESUME, {"reason": f"OPC UA {method} {why}".strip()})
        elif method in PAUSES and not vision.facts.paused and vision.facts.alive:
            asked = await self._ask(Action.PAUSE, {"reason": f"OPC UA {method} {why}".strip()})
        else:
            asked = await self._allowed(Action.PAUSE)
        if asked != DONE:
            return asked
        recorded = await self._record(str(method), why)
        if method in RESUMES or method in PAUSES:
            await self._heard_of(paused=method in PAUSES)
        vision.done(method)
        await self._server.show()
        return recorded

    async def _heard_of(self, paused: bool) -> None:
        """Until the line's heartbeat says what it has done; an older one would undo the state."""
        heartbeat = self._line.heartbeat
        until = time.monotonic() + HEARD_S
        while heartbeat.alive and bool(heartbeat.body.get("paused")) != paused:
            if time.monotonic() > until:
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
            external = server.space.id("RecipeIdExternalDataType", name)
            product = server.space.id("Product", self.recipes.get(name, ""))
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
        id = space.variant(self._server.recipe_id(name), ua.VariantType.String)
        if not completed:
            return [id, _error(error)]
        return [id, ua.Variant(error == DONE, ua.VariantType.Boolean), _error(error)]

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
        ids = [self._server.recipe_id(name) for name in _cut(names, start, most)]
        return self._listed(len(names), start, most, ids, names)

    # Configurations: one, the station file.

    async def list_configurations(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The only configuration."""
        most, start = int(given[0].Value or 0), int(given[1].Value or 0)
        return self._listed(1, start, most, [self._configuration()], [self._server.station.station])

    async def get_configuration(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The configuration with this id."""
        known = text_of(given[0].Value) == self._server.station.station
        made = self._server.space.variant(self._configuration(), ua.VariantType.String)
        return [_handle(), made, _error(DONE if known else UNKNOWN)]

    async def activate_configuration(self, parent: ua.NodeId, id: ua.Variant) -> Answered:
        """Nothing to do for the one that is active; another is unknown."""
        allowed = await self._allowed(Action.CHANGE_OVER)
        if isinstance(allowed, ua.StatusCode):
            return allowed
        return [_error(DONE if text_of(id.Value) == self._server.station.station else UNKNOWN)]

    def _configuration(self) -> Any:
        space = self._server.space
        if not space.official:
            return json.dumps({"id": self._server.station.station})
        return space.structure(
            "ConfigurationDataType",
            InternalId=self._server.configuration_id(),
            HasTransferableDataOnFile=False,
        )

    # Results.

    async def get_result(self, parent: ua.NodeId, id: ua.Variant, timeout: ua.Variant) -> Answered:
        """The result with this id, which is its part's id; from the ledger, however old."""
        verdict = await run_in(self._thread, self._verdict, text_of(id.Value))
        space = self._server.space
        if verdict is None:
            empty = space.structure("ResultDataType") if space.official else ""
            return [_handle(), space.variant(empty, ua.VariantType.String), _error(UNKNOWN)]
        return [
            _handle(),
            space.variant(self._result(verdict), ua.VariantType.String),
            _error(DONE),
        ]

    async def list_results(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """The newest results that fit, newest first."""
        texts = [text_of(v.Value) for v in given[1:9]]
        state, most, start = int(given[0].Value or 0), *(int(v.Value or 0) for v in given[9:11])
        found = await run_in(self._thread, self._fitting, state, texts)
        chosen = _cut(found, start, most)
        made = [self._result(verdict) for verdict in chosen]
        return self._listed(len(found), start, most, made, made)

    def _fitting(self, state: int, texts: list[str]) -> list[Verdict]:
        from inspector.plant.opcua import RESULT_STATE

        _, part, external, internal, *_, job = texts
        found = []
        with self._line.history() as history:
            for each in history.last(SCAN_MAX):
                verdict = each.verdict
                recipe = verdict.recipe.partition("@")[0]
                if (
                    state in (0, RESULT_STATE[verdict.outcome])
                    and part in ("", str(verdict.part_id), verdict.serial)
                    and external in ("", recipe)
                    and internal in ("", recipe)
                    and job in ("", verdict.batch)
                ):
                    found.append(verdict)
        return found

    def _verdict(self, id: str) -> Verdict | None:
        try:
            part = PartId(UUID(id))
        except ValueError:
            return None
        with self._line.history() as history:
            found = history.part(part)
        return found.verdict if found else None

    def _result(self, verdict: Verdict) -> Any:
        space = self._server.space
        fields = self._server.result(verdict)
        if space.official:
            return space.structure("ResultDataType", **fields)
        return json.dumps(fields | {"ResultContent": content_of(verdict)}, ensure_ascii=False)

    # What several of them need.

    async def not_here(self, parent: ua.NodeId, *given: ua.Variant) -> Answered:
        """A line that pretends to judge is none of ours: a challenge test shows real parts."""
        return _NOT_HERE

    async def release_handle(self, parent: ua.NodeId, handle: ua.Variant) -> Answered:
        """Handles hold nothing here: an answer is whole."""
        return [_error(DONE)]

    def _listed(
        self, count: int, start: int, most: int, made: list[Any], plain: list[Any]
    ) -> Variants:
        space = self._server.space
        complete = start + len(made) >= count
        told: Any = made if space.official else json.dumps(_cut(plain, start, most))
        return [
            ua.Variant(complete, ua.VariantType.Boolean),
            ua.Variant(len(made), ua.VariantType.UInt32),
            _handle(),
            space.variant(told, ua.VariantType.String),
            _error(DONE),
        ]

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

    async def _allowed(self, action: Action) -> int | ua.StatusCode:
        caller = CALLER.get()
        try:
            if caller is None:
                return _DENIED
            authorise(caller, action)
        except Forbidden:
            return _DENIED
        return DONE

    async def _ask(self, action: Action, args: Mapping[str, Any]) -> int | ua.StatusCode:
        caller = CALLER.get()
        if caller is None:
            return _DENIED
        try:
            answer = await run_in(self._thread, self._line.ask, action, args, caller)
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
            await run_in(self._thread, self._write, method, why, caller.id)
        except StoreError as error:
            log.error("a method was not recorded", method=method, why=str(error))
            return NOT_RECORDED
        return DONE

    def _write(self, method: str, why: str, principal: str) -> None:
        if self._ledger is None:
            self._ledger = DeskLedger.open(self._line.data)
        self._ledger.add("opcua", {"method": method, "why": why[:500]}, principal)


def _cut(items: list[Any], start: int, most: int) -> list[Any]:
    return items[start : start + min(most or PAGE_MAX, PAGE_MAX)]


def _handle() -> ua.Variant:
    return ua.Variant(0, ua.VariantType.UInt32)


def _error(code: int) -> ua.Variant:
    return ua.Variant(code, ua.VariantType.Int32)
