"""What each command does to the line, by name.

Enters: a command that is obeyed now. Leaves: the line changed, and the answer's body; ``Refused``
where the line cannot do it. Imports bus, identity, and the line's own modules; ``commands.py`` has
one.

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
from typing import Any

from inspector.bus import Command
from inspector.display import AlarmCode
from inspector.identity import Action, authorise
from inspector.line import releasing
from inspector.line.champions import Champions
from inspector.line.changeover import Recipe, job
from inspector.line.line import Line
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


class Acts:
    """Does what a command says."""

    def __init__(self, line: Line, recipes: Mapping[str, Recipe], champions: Champions) -> None:
        """``recipes``: those that are loaded and warm, by name; ``champions`` replaces them."""
        self._line, self._recipes, self._champions = line, recipes, champions
        self.halts = 0
        """How often the line was paused or stopped: who asked to resume it before that has not
        meant to after it."""
        self._doubted = False
        """The line was stopped because of what it lets through."""

    def do(self, command: Command) -> dict[str, Any] | None:
        """The answer; None when it comes later. Raises ``Refused``, or what says the same in the
        words of another module: ``NoRelease``, ``ModeError``, ``Forbidden``, ``ValueError``."""
        act = ACTS.get(command.command)
        if act is None:
            raise Refused(f"the line has no command {command.command}")
        return act(self, command)

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
        due = self._champions.due(name, batch_id)
        recipe = due or self._recipes.get(name)
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
            if due is not None:
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
        given = isinstance(minutes, int | float) and not isinstance(minutes, bool)
        if not given or not 0 <= minutes < 1e6:
            raise Refused("`minutes` is a number")
        reason = str(command.args.get("reason") or "")[:500]
        modes = self._line.modes
        now = modes.set(
            mode, command.principal.id, reason, int(minutes * 60e9), at_ns=time.monotonic_ns()
        )
        return {"mode": str(now.mode), "reason": reason, "from": self._line.matching.newest + 1}

    def pause(self, command: Command) -> dict[str, Any]:
        self.halts += 1
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

    def _run(self) -> int:
        """The count whose parts the gate decides now."""
        if not self._line.station.gated:
            raise Refused("this station has no gate")
        if self._line.run is None:
            raise Refused("the PLC has not been heard yet; its gate rejects until then")
        return self._line.run

    def reject(self, command: Command) -> dict[str, Any]:
        line, args, run = self._line, command.args, self._run()
        if args.get("stream") not in (None, line.stream):
            raise Refused(f"stream {args['stream']!r} is over; parts of it have left")
        first = _number(args, "part" if args.get("part") is not None else "first")
        last = _number(args, "last") if args.get("last") is not None else first
        if not first <= last < first + RANGE_MAX:
            raise Refused(f"`first` to `last` is a range of at most {RANGE_MAX} parts")
        if last > line.matching.newest + RANGE_MAX:  # a gate forgets the oldest it was told
            raise Refused(f"part {last} is more than {RANGE_MAX} parts ahead; ask again later")
        plc = line.zone.status
        gone = line.eye.gone(time.monotonic_ns()) if plc is None else plc.gate_part
        ahead = [n for n in range(first, last + 1) if not gone or (gone - n & U32) >= 1 << 31]
        if not ahead:
            raise Refused(f"part {last} has passed the gate; dispose of it instead")
        line.gate.refuse(run, ahead, GateReason.COMMAND)
        return {"stream": line.stream, "first": ahead[0], "last": ahead[-1],
                "too_late": last - first + 1 - len(ahead)}  # fmt: skip

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
        line, run = self._line, self._run()
        now_ns = time.monotonic_ns()
        if len(line.zone) or line.eye.newest > line.eye.gone(now_ns):
            raise Refused("parts stand before the gate; let them pass first")
        until_ns = now_ns + 1_000_000_000
        line.gate.decide(run, 0, Tell.REJECT, GateReason.COMMAND, until_ns)
        return {"pulse": True}

    def acknowledge_alarm(self, command: Command) -> dict[str, Any]:
        code = command.args.get("code")
        if code is not None and code not in tuple(AlarmCode):
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
            self.halts += 1
            line.stop.why[code], line.paused, self._doubted = detail, True, True
            self._take_back()
            return {"code": code, "stopped": True, "stream": line.stream,
                    "upto": line.matching.newest}  # fmt: skip
        line.alarms.holds(code, bool(args.get("on")), detail, stops=False)
        return {"code": code, "stopped": False}

    def install_release(self, command: Command) -> dict[str, Any] | None:
        return self._champions.install(command)


Act = Callable[[Acts, Command], dict[str, Any] | None]
"""Gives the answer; None when it comes later."""

ACTS: Mapping[Action, Act] = {
    Action.START_BATCH: Acts.start_batch,
    Action.END_BATCH: Acts.end_batch,
    Action.CHANGE_OVER: Acts.change_over,
    Action.SET_MODE: Acts.set_mode,
    Action.BYPASS: Acts.bypass,
    Action.PAUSE: Acts.pause,
    Action.RESUME: Acts.resume,
    Action.REJECT: Acts.reject,
    Action.TEST_PULSE: Acts.test_pulse,
    Action.RESET_COUNTS: Acts.reset_counts,
    Action.SET_OUTPUT: Acts.set_output,
    Action.ACKNOWLEDGE_ALARM: Acts.acknowledge_alarm,
    Action.RELEASE_LINE: Acts.release_line,
    Action.CHALLENGE: Acts.challenge,
    Action.INSTALL_RELEASE: Acts.install_release,
    Action.ANNOUNCE: Acts.announce,
}


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
