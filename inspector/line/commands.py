"""What people and machines ask of the line, by name, obeyed between two parts; what changes batch
or recipe in the order in which it was asked (``turns.py``).

Enters: commands that the bus has verified and authorised. Leaves: the line changed, an event in
the ledger that names the principal (I9), and then the answer. Imports bus, identity, the recipe's
loader by way of ``recipes``, and the line's own modules; ``process.py`` calls it.

Arguments, all optional unless said: ``start_batch``: ``id`` (needed), ``product``, ``recipe``,
``texts``, ``from`` (part number from which it holds). ``end_batch``: ``id`` (only if it runs).
``change_over``: ``recipe`` (needed), ``batch`` (an object as for ``start_batch``), ``from``.
``set_mode``: ``mode`` (needed). ``bypass``: ``reason`` and ``minutes`` (needed). ``pause``,
``resume``: ``reason``. ``reject``: ``part``, or ``first`` and ``last`` (needed), ``stream``,
``reason``. ``reset_counts``: ``reason`` (needed); a new period of counts begins, the ledger's
stay what they are. ``set_output``: ``output`` (1 to 8) and ``seconds`` (needed; 0 is off),
``reason``. ``test_pulse``.
``acknowledge_alarm``: ``code``; also lets a line run again that was stopped for it.
``release_line``: ``id`` and ``signatures``, positions at the desk (needed). ``challenge``:
``parts`` (needed), the next ones. ``announce``: ``code`` and ``on`` (needed), ``detail``, ``stop``:
what is under way then does not pass. ``install_release``: see ``champions.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from inspector.bus import Command, CommandServer, Refusal
from inspector.display import AlarmCode
from inspector.identity import Action, Forbidden, authorise
from inspector.line import releasing, setting
from inspector.line.champions import Champions, NoRelease
from inspector.line.changeover import Recipe, job
from inspector.line.line import Line
from inspector.line.lives import Lives
from inspector.line.modes import ModeError
from inspector.line.turns import ORDERED, Turns
from inspector.line.watch import under_way
from inspector.part import Batch, Mode
from inspector.registers import U32, GateReason
from inspector.registers import Action as Tell
from inspector.store import StoreError

RANGE_MAX = 1000
"""Parts that one ``reject`` may name: far more than stand between eye and gate."""

CHALLENGE_MAX = 100
"""Parts that one challenge test may have."""
ANNOUNCED = (
    AlarmCode.CHALLENGE_DUE, AlarmCode.CHALLENGE_FAILED, AlarmCode.DRIFT,
    AlarmCode.OUT_OF_CONTROL, AlarmCode.MAINTENANCE, AlarmCode.CENTRE, AlarmCode.ON_HOLD,
)  # fmt: skip
"""What another process of the station may have the line show."""


class Refused(Exception):
    """The line cannot do this now; ``str()`` says why and what would do."""


class Commands:
    """Takes commands, obeys, records, and answers once the record is durable."""

    def __init__(
        self,
        line: Line,
        server: CommandServer,
        recipes: Mapping[str, Recipe],
        champions: Champions,
    ) -> None:
        """``recipes``: those that are loaded and warm, by name; ``champions`` replaces them."""
        self._champions = champions
        self._line = line
        self._server = server
        self._recipes = recipes
        self._owed: list[tuple[Future[int], Command, Mapping[str, Any]]] = []
        self._halts = 0
        """How often the line was paused or stopped: who asked to resume it before that has not
        meant to after it."""
        self._before: dict[str, int] = {}
        """That number when a command came that waits for its turn, by its id."""
        self._doubted = False
        """The line was stopped because of what it lets through."""
        self._lives = Lives(line.ledger.data_dir)
        self._turns = Turns(self._lives, lambda: line.plan.newest.batch.id)

    @property
    def owing(self) -> bool:
        """Whether somebody waits for the disk, so that the loop should come round soon."""
        return bool(self._owed) or self._champions.loading or self._turns.waiting

    def take(self) -> None:
        """Obey what has come, and answer what is durable by now. Never waits."""
        while (command := self._server.receive()) is not None:
            self._consider(command)
        self._take_turns()
        for command, answer in self._champions.finished():
            if isinstance(answer, str):
                self._refuse(command, answer)
            else:
                self._done(command, answer)
        owed, self._owed = self._owed, []
        for future, command, body in owed:
            if not future.done():
                self._owed.append((future, command, body))
            elif (error := future.exception()) is not None:
                self._server.answer(command, False, f"done, but not recorded: {error}")
            else:
                self._server.answer(command, True, body)

    def close(self) -> None:
        """Ask nobody any more."""
        self._lives.close()

    def _consider(self, command: Command) -> None:
        """Obey at once what may come between others; the rest has its turn (``turns.py``)."""
        if command.command in ORDERED:
            self._before[command.id] = self._halts
            self._turns.add(command)
            self._take_turns()
        else:
            self._obey(command)

    def _take_turns(self) -> None:
        for command, why in self._turns.due():
            if self._before.pop(command.id) != self._halts and command.command is Action.RESUME:
                why = why or "the line was stopped after that; look, and resume it again"
            if why:
                self._refuse(command, why)
            else:
                self._obey(command)

    def _obey(self, command: Command) -> None:
        act = ACTS.get(command.command)
        try:
            if act is None:
                raise Refused(f"the line has no command {command.command}")
            body = act(self, command)
        except (Refused, NoRelease, ModeError, Forbidden, ValueError) as error:
            self._refuse(command, str(error))
            return
        if body is not None:
            self._done(command, body)

    def _refuse(self, command: Command, why: str) -> None:
        self._record(command, refused=why)
        self._server.answer(command, False, why)

    def _done(self, command: Command, body: dict[str, Any]) -> None:
        line = self._line
        self._record(command, **body)
        if command.command in SETS:
            self._keep(command)
        # Somebody waits for the answer: a machine that rejects 200 parts a second waits for each.
        self._owed.append((line.ledger.commit_soon(time.monotonic_ns()), command, body))

    def _keep(self, command: Command) -> None:
        line = self._line
        setting.keep(
            line.ledger, line.station, line.plan, line.stream, line.modes, line.paused,
            command.principal.id,
        )  # fmt: skip

    def _record(self, command: Command, **body: Any) -> None:
        self._line.ledger.add_event(
            "command", command.principal.id, command=str(command.command), id=command.id,
            args=dict(command.args), roles=sorted(command.principal.roles), result=body,
        )  # fmt: skip

    def start_batch(self, command: Command) -> dict[str, Any]:
        args = command.args
        name = str(args.get("recipe") or self._line.plan.newest.recipe.name)
        return self._change(command, args, name, begins=True)

    def change_over(self, command: Command) -> dict[str, Any]:
        args = command.args
        if not args.get("recipe"):
            raise Refused("`recipe` is missing")
        batch = args.get("batch")
        if isinstance(batch, str):
            batch = {"id": batch}
        if not isinstance(batch, Mapping):
            now = self._line.plan.newest.batch
            batch = {"id": now.id, "product": now.product, "texts": dict(now.texts)}
        return self._change(command, dict(batch) | {"from": args.get("from")}, str(args["recipe"]))

    def _change(
        self, command: Command, batch: Mapping[str, Any], name: str, *, begins: bool = False
    ) -> dict[str, Any]:
        line = self._line
        batch_id = _text(batch, "id", 64)
        recipe = self._champions.due(name, batch_id) or self._recipes.get(name)
        if recipe is None:
            known = ", ".join(sorted(self._recipes))
            raise Refused(f"recipe {name!r} is not loaded at this station; loaded: {known}")
        texts = batch.get("texts") or {}
        if not isinstance(texts, Mapping):
            raise Refused("`texts` must be an object of texts by name")
        planned = job(
            recipe,
            Batch(
                batch_id, str(batch.get("product") or ""), name,
                {str(k): str(v) for k, v in texts.items()},
            ),
            [camera.name for camera in line.station.cameras],
        )  # fmt: skip
        next_part = line.matching.newest + 1
        first = _number(batch, "from") if batch.get("from") is not None else next_part
        if first < next_part:
            raise Refused(f"part {first} has gone by; the next is {next_part}")
        old = line.plan.newest.batch
        if begins and old.id == planned.batch.id and not line.plan.ended:
            raise Refused(f"batch {old.id!r} runs already")
        planned = releasing.awaiting(line.station.quality, planned, line.plan.newest)
        line.plan.change(planned, first)
        if old.id != planned.batch.id and not line.plan.ended:
            line.ledger.add_batch(old, "end", command.principal.id)
        if begins or old.id != planned.batch.id:  # one that was ended goes on
            line.ledger.add_batch(planned.batch, "begin", command.principal.id)
            line.periods.begin(planned.batch.id, first, "batch", command.principal.id)
            line.plan.ended = False
            self._champions.began(name, first, command.principal.id)
        return {"from": first, "stream": line.stream, "recipe": planned.title,
                "batch": planned.batch.id} | releasing.owed(planned)  # fmt: skip

    def end_batch(self, command: Command) -> dict[str, Any]:
        batch = self._line.plan.newest.batch
        if command.args.get("id") not in (None, batch.id):
            raise Refused(f"batch {command.args['id']!r} does not run; {batch.id!r} does")
        if self._line.plan.ended:
            raise Refused(f"batch {batch.id!r} is closed")
        self._line.ledger.add_batch(batch, "end", command.principal.id)
        counts = self._line.counters.batch(batch.id)
        self._line.paused = self._line.plan.ended = True
        return {"batch": batch.id, "parts": counts.parts, "passed": counts.passed,
                "remark": "the line is paused until a batch starts and it is resumed"}  # fmt: skip

    def set_mode(self, command: Command) -> dict[str, Any]:
        try:
            mode = Mode(command.args.get("mode", ""))
        except ValueError:
            raise Refused(f"`mode` is one of {', '.join(Mode)}") from None
        if mode is Mode.BYPASS:
            authorise(command.principal, Action.BYPASS)
        return self._set(mode, command)

    def bypass(self, command: Command) -> dict[str, Any]:
        return self._set(Mode.BYPASS, command)

    def _set(self, mode: Mode, command: Command) -> dict[str, Any]:
        minutes = command.args.get("minutes") or 0
        if not isinstance(minutes, int | float) or not 0 <= minutes < 1e6:
            raise Refused("`minutes` is a number")
        reason = str(command.args.get("reason") or "")[:500]
        modes = self._line.modes
        now = modes.set(
            mode, command.principal.id, reason, int(minutes * 60e9), at_ns=time.monotonic_ns()
        )
        return {"mode": str(now.mode), "reason": reason, "from": self._line.matching.newest + 1}

    def pause(self, command: Command) -> dict[str, Any]:
        self._halts += 1
        self._line.paused = True
        return {"paused": True}

    def resume(self, command: Command) -> dict[str, Any]:
        if self._line.plan.ended:
            batch = self._line.plan.newest.batch.id
            raise Refused(f"batch {batch!r} is closed; start a batch, then resume")
        if self._doubted:  # what came while the belt came to rest
            self._take_back()
        self._doubted = self._line.paused = False
        return {"paused": False}

    def _take_back(self) -> None:
        """No part that is under way passes: what has judged it was found wanting."""
        if self._line.run is not None:
            self._line.gate.refuse(self._line.run, under_way(self._line), GateReason.COMMAND)

    def reject(self, command: Command) -> dict[str, Any]:
        line, args = self._line, command.args
        if line.run is None:
            raise Refused("this station has no gate")
        if args.get("stream") not in (None, line.stream):
            raise Refused(f"stream {args['stream']!r} is over; parts of it have left")
        first = _number(args, "part" if args.get("part") is not None else "first")
        last = _number(args, "last") if args.get("last") is not None else first
        if not first <= last < first + RANGE_MAX:
            raise Refused(f"`first` to `last` is a range of at most {RANGE_MAX} parts")
        gone = line.zone.status.gate_part if line.zone.status else 0
        gone_by = [n for n in range(first, last + 1) if gone and (gone - n & U32) < 1 << 31]
        ahead = [n for n in range(first, last + 1) if n not in set(gone_by)]
        if not ahead:
            raise Refused(f"part {last} has passed the gate; dispose of it instead")
        line.gate.refuse(line.run, ahead, GateReason.COMMAND)
        return {"stream": line.stream, "first": ahead[0], "last": ahead[-1],
                "too_late": len(gone_by)}  # fmt: skip

    def reset_counts(self, command: Command) -> dict[str, Any]:
        line, first = self._line, self._line.matching.newest + 1
        reason = _text(command.args, "reason", 500)
        batch = line.plan.newest.batch.id
        line.periods.begin(batch, first, f"reset: {reason}", command.principal.id)
        if line.zone.status is not None:
            line.reconciler.begin(line.zone.status)
        return {"from": first, "stream": line.stream, "batch": batch}

    def set_output(self, command: Command) -> dict[str, Any]:
        if self._line.station.plc is None:
            raise Refused("this station has no PLC")
        number, seconds = _number(command.args, "output"), command.args.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Refused("`seconds` is a number")
        self._line.outputs.switch(number, seconds, time.monotonic_ns())
        return {"output": number, "seconds": seconds}

    def test_pulse(self, command: Command) -> dict[str, Any]:
        line = self._line
        if line.run is None:
            raise Refused("this station has no gate")
        if line.zone.status is not None and len(line.zone):
            raise Refused("parts stand before the gate; let them pass first")
        until_ns = time.monotonic_ns() + 1_000_000_000
        line.gate.decide(line.run, 0, Tell.REJECT, GateReason.COMMAND, until_ns)
        return {"pulse": True}

    def acknowledge_alarm(self, command: Command) -> dict[str, Any]:
        code = command.args.get("code")
        if code is not None and code not in set(AlarmCode):
            raise Refused(f"there is no alarm {code!r}")
        seen = AlarmCode(code) if code else None
        self._line.stop.reset(seen)
        count = self._line.alarms.acknowledge(seen, command.principal.id)
        return {"acknowledged": count}

    def release_line(self, command: Command) -> dict[str, Any]:
        line = self._line
        try:
            signed = releasing.signed(line.ledger.data_dir, line.plan.newest, command.args)
        except (releasing.Unsigned, StoreError) as error:
            raise Refused(str(error)) from None
        first = line.plan.release(line.matching.newest + 1)
        return {"from": first, "stream": line.stream, "signed": signed}

    def challenge(self, command: Command) -> dict[str, Any]:
        parts = _number(command.args, "parts")
        if parts > CHALLENGE_MAX:
            raise Refused(f"`parts` is a number of at most {CHALLENGE_MAX}")
        line = self._line
        first = line.matching.newest + 1
        line.plan.challenged = range(first, first + parts)
        return {"from": first, "to": first + parts - 1, "stream": line.stream}

    def announce(self, command: Command) -> dict[str, Any]:
        line, args = self._line, command.args
        if args.get("code") not in ANNOUNCED:
            raise Refused(f"`code` is one of {', '.join(ANNOUNCED)}")
        code, detail = AlarmCode(args["code"]), str(args.get("detail") or "")[:200]
        if args.get("stop"):
            self._halts += 1
            line.stop.why[code], line.paused, self._doubted = detail, True, True
            self._take_back()
            self._keep(command)
            return {"code": code, "stopped": True, "stream": line.stream,
                    "upto": line.matching.newest}  # fmt: skip
        line.alarms.holds(code, bool(args.get("on")), detail, stops=False)
        return {"code": code, "stopped": False}

    def install_release(self, command: Command) -> dict[str, Any] | None:
        return self._champions.install(command)


SETS = frozenset({
    Action.START_BATCH, Action.END_BATCH, Action.CHANGE_OVER, Action.SET_MODE, Action.BYPASS,
    Action.PAUSE, Action.RESUME, Action.RELEASE_LINE,
    Action.INSTALL_RELEASE,
})  # fmt: skip
"""What a restarted line goes on with."""

Act = Callable[[Commands, Command], dict[str, Any] | None]
"""Gives the answer; None when it comes later."""

ACTS: Mapping[Action, Act] = {
    Action.START_BATCH: Commands.start_batch,
    Action.END_BATCH: Commands.end_batch,
    Action.CHANGE_OVER: Commands.change_over,
    Action.SET_MODE: Commands.set_mode,
    Action.BYPASS: Commands.bypass,
    Action.PAUSE: Commands.pause,
    Action.RESUME: Commands.resume,
    Action.REJECT: Commands.reject,
    Action.TEST_PULSE: Commands.test_pulse,
    Action.RESET_COUNTS: Commands.reset_counts,
    Action.SET_OUTPUT: Commands.set_output,
    Action.ACKNOWLEDGE_ALARM: Commands.acknowledge_alarm,
    Action.RELEASE_LINE: Commands.release_line,
    Action.CHALLENGE: Commands.challenge,
    Action.INSTALL_RELEASE: Commands.install_release,
    Action.ANNOUNCE: Commands.announce,
}


def refused(line: Line, refusal: Refusal) -> None:
    """A message that the bus did not let through: recorded, and an alarm."""
    line.ledger.add_event(
        "command_refused", refusal.principal or "unknown", what=refusal.kind,
        why=refusal.message, command=refusal.command,
    )  # fmt: skip
    line.alarms.happened(AlarmCode.COMMANDS_REFUSED, refusal.kind)


def _text(args: Mapping[str, Any], name: str, longest: int) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= longest:
        raise Refused(f"`{name}` is a text of 1 to {longest} characters")
    return value.strip()


def _number(args: Mapping[str, Any], name: str) -> int:
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= U32:
        raise Refused(f"`{name}` is a part number")
    return value
