"""Who may do what: the roles, the actions, and the one table between them.

``MAY`` is that table; every room that writes asks ``authorise`` (I9), and a test walks every route
of every interface against it. Imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a principal is here for. One principal may have several."""

    OPERATOR = "operator"
    QA = "qa"
    ENGINEER = "engineer"
    ADMIN = "admin"
    AUDITOR = "auditor"
    """Reads everything, changes nothing."""
    MACHINE = "machine"
    """MES, PLC, SCADA."""
    SYSTEM = "system"
    """The station's own processes; never given to a user."""


class Action(StrEnum):
    """Everything that is asked for by name. A bus command has its action's name."""

    VIEW = "view"
    EXPORT = "export"
    READ_AUDIT = "read_audit"
    """The audit trail: what every person did."""
    START_BATCH = "start_batch"
    END_BATCH = "end_batch"
    CHANGE_OVER = "change_over"
    SET_MODE = "set_mode"
    """Every mode but by-pass, which is an action of its own."""
    BYPASS = "bypass"
    PAUSE = "pause"
    RESUME = "resume"
    REJECT = "reject"
    TEST_PULSE = "test_pulse"
    RESET_COUNTS = "reset_counts"
    """Begin a new period of counts; what was recorded stays."""
    SET_OUTPUT = "set_output"
    """Switch one of the PLC's process outputs for a while."""
    ACKNOWLEDGE_ALARM = "acknowledge_alarm"
    CALL_HELP = "call_help"
    """Ask for somebody at the line, or say that one has come."""
    RELEASE_LINE = "release_line"
    """Sign a first article or a line clearance, and let the line produce after it."""
    FILE_COMPLAINT = "file_complaint"
    """At the centre: note what after-sales heard about a serial, so that it is traced."""
    CLOSE_ALARM = "close_alarm"
    """At the centre: say that what a station's records were refused for is dealt with."""
    CHALLENGE = "challenge"
    """Feed seeded defects through the running line."""
    ANNOUNCE = "announce"
    """Show a condition that another process of the station watches, and stop the line for it."""
    LINK = "link"
    """Say which material lots went into a batch, and what was packed into what and sent where."""
    TELL_TAGS = "tell_tags"
    """Report process values."""
    REVIEW = "review"
    DISPOSE = "dispose"
    """Rework, scrap, release or hold after the gate."""
    EDIT_RECIPE = "edit_recipe"
    APPROVE_RECIPE = "approve_recipe"
    INSTALL_RELEASE = "install_release"
    """Put a signed model or recipe release into service."""
    CONFIGURE = "configure"
    MANAGE_USERS = "manage_users"


_O, _Q, _E, _A = Role.OPERATOR, Role.QA, Role.ENGINEER, Role.ADMIN
_U, _M, _S = Role.AUDITOR, Role.MACHINE, Role.SYSTEM

# Who writes a recipe does not approve it, who decides over parts does not make users, and a line
# that stopped is started again by a person who has looked: these are why the rows differ.
MAY: Mapping[Action, frozenset[Role]] = {
    Action.VIEW: frozenset({_O, _Q, _E, _A, _U, _M, _S}),
    Action.EXPORT: frozenset({_Q, _E, _A, _U, _M, _S}),
    Action.READ_AUDIT: frozenset({_Q, _E, _A, _U}),
    Action.START_BATCH: frozenset({_O, _E, _M, _S}),
    Action.END_BATCH: frozenset({_O, _E, _M, _S}),
    Action.CHANGE_OVER: frozenset({_O, _E, _M, _S}),
    Action.SET_MODE: frozenset({_O, _Q, _E}),
    Action.BYPASS: frozenset({_Q, _E}),
    Action.PAUSE: frozenset({_O, _Q, _E, _M, _S}),
    Action.RESUME: frozenset({_O, _Q, _E}),
    Action.REJECT: frozenset({_O, _Q, _E, _M, _S}),
    Action.TEST_PULSE: frozenset({_O, _Q, _E}),
    Action.RESET_COUNTS: frozenset({_O, _Q, _E}),
    Action.SET_OUTPUT: frozenset({_E, _M, _S}),
    Action.ACKNOWLEDGE_ALARM: frozenset({_O, _Q, _E}),
    Action.CALL_HELP: frozenset({_O, _Q, _E}),
    Action.RELEASE_LINE: frozenset({_O, _Q, _E, _S}),
    Action.CHALLENGE: frozenset({_O, _Q, _E}),
    Action.FILE_COMPLAINT: frozenset({_Q, _E, _M}),
    Action.CLOSE_ALARM: frozenset({_Q, _E}),
    Action.ANNOUNCE: frozenset({_S}),
    Action.LINK: frozenset({_O, _Q, _E, _M, _S}),
    Action.TELL_TAGS: frozenset({_E, _M, _S}),
    Action.REVIEW: frozenset({_Q}),
    Action.DISPOSE: frozenset({_Q, _M}),
    Action.EDIT_RECIPE: frozenset({_E}),
    Action.APPROVE_RECIPE: frozenset({_Q}),
    Action.INSTALL_RELEASE: frozenset({_E, _S}),
    Action.CONFIGURE: frozenset({_E, _A}),
    Action.MANAGE_USERS: frozenset({_A, _S}),
}
"""The one table of who may do what."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: a person, a machine, or a process of the station."""

    id: str
    roles: frozenset[Role]


class IdentityError(Exception):
    """Something about a user or a secret that the caller can mend; ``str()`` says how."""


class Forbidden(IdentityError):
    """The principal is known, but may not do this."""


def authorise(principal: Principal, action: Action) -> None:
    """Return if ``principal`` may do ``action``; else raise ``Forbidden`` with who may."""
    if principal.roles & MAY[action]:
        return
    has = ", ".join(sorted(principal.roles)) or "no role"
    needs = " or ".join(sorted(MAY[action] - {Role.SYSTEM}))
    raise Forbidden(f"{principal.id} ({has}) may not {action.replace('_', ' ')}; it needs {needs}")
