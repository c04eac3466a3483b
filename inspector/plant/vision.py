"""The state machine of OPC 40100-1 (Machine Vision, part 1, clauses 8.1 to 8.3) for this line.

Enters: how the line is, and methods that somebody calls. Leaves: the state it is in, and what a
method asks of the line. No I/O. ``opcua.py`` shows it.

The line is the truth: a person at the touchscreen may pause or resume it, an alarm may stop it, and
the state follows by the standard's *automatic* transitions. What only a client can say (halted,
reset and not yet put to work, no recipe prepared, a single job) is held here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """States by their browse names; the last four are inside ``Operational``."""

    PREOPERATIONAL = "Preoperational"
    HALTED = "Halted"
    ERROR = "Error"
    INITIALIZED = "Initialized"
    READY = "Ready"
    SINGLE = "SingleExecution"
    CONTINUOUS = "ContinuousExecution"

    @property
    def outer(self) -> str:
        """The state of the vision state machine."""
        return "Operational" if self in OPERATIONAL else str(self)


OPERATIONAL = frozenset({State.INITIALIZED, State.READY, State.SINGLE, State.CONTINUOUS})
EXECUTING = frozenset({State.SINGLE, State.CONTINUOUS})
ANYWHERE = frozenset(State)


class Method(StrEnum):
    """Methods that move the state machine, by their browse names."""

    HALT = "Halt"
    RESET = "Reset"
    SELECT_AUTOMATIC = "SelectModeAutomatic"
    START_SINGLE = "StartSingleJob"
    START_CONTINUOUS = "StartContinuous"
    STOP = "Stop"
    ABORT = "Abort"
    PREPARE = "PrepareRecipe"
    UNPREPARE = "UnprepareRecipe"


ALLOWED: dict[Method, frozenset[State]] = {
    Method.HALT: ANYWHERE - {State.HALTED},
    Method.RESET: ANYWHERE - {State.PREOPERATIONAL},
    Method.SELECT_AUTOMATIC: frozenset({State.PREOPERATIONAL}),
    Method.START_SINGLE: frozenset({State.READY}),
    Method.START_CONTINUOUS: frozenset({State.READY}),
    Method.STOP: EXECUTING,
    Method.ABORT: EXECUTING,
    Method.PREPARE: frozenset({State.INITIALIZED, State.READY}),
    Method.UNPREPARE: frozenset({State.READY}),
}
"""In which states a method may be called; elsewhere it is refused."""

PAUSES = frozenset({Method.HALT, Method.RESET, Method.STOP, Method.ABORT, Method.UNPREPARE})
RESUMES = frozenset({Method.START_SINGLE, Method.START_CONTINUOUS})


@dataclass(frozen=True, slots=True)
class Facts:
    """How the line is."""

    alive: bool = False
    """Its heartbeat comes."""
    paused: bool = False
    stopped_by: str = ""
    """The alarm that keeps it from judging; empty when none does."""


@dataclass(slots=True)
class Vision:
    """One station's vision system."""

    facts: Facts = Facts()
    halted: bool = False
    reset: bool = False
    """Reset, and not put into automatic mode again."""
    prepared: bool = True
    """A line always has a recipe loaded; a client may take it away."""
    single: bool = False

    @property
    def state(self) -> State:
        """The state as it is now."""
        if self.halted:
            return State.HALTED
        if not self.facts.alive or self.facts.stopped_by:
            return State.ERROR
        if self.reset:
            return State.PREOPERATIONAL
        if not self.facts.paused:
            return State.SINGLE if self.single else State.CONTINUOUS
        return State.READY if self.prepared else State.INITIALIZED

    def may(self, method: Method) -> bool:
        """Whether ``method`` may be called now."""
        return self.state in ALLOWED[method]

    def done(self, method: Method) -> None:
        """The line has obeyed ``method``: hold what only a client can say."""
        if method in PAUSES:
            self.single = False
        match method:
            case Method.HALT:
                self.halted = True
            case Method.RESET:
                self.halted, self.reset = False, True
            case Method.SELECT_AUTOMATIC:
                self.reset = False
            case Method.PREPARE:
                self.prepared = True
            case Method.UNPREPARE:
                self.prepared = False
            case Method.START_SINGLE:
                self.single = True
            case Method.START_CONTINUOUS:
                self.single = False

    def heard(self, facts: Facts) -> None:
        """The line's newest word. A person who resumes a line that a client had halted or reset has
        looked at it: the client's word is over."""
        if facts.alive and not facts.paused and self.facts.paused:
            self.halted = self.reset = False
            self.prepared = True
        if facts.paused and not self.facts.paused:
            self.single = False
        self.facts = facts
