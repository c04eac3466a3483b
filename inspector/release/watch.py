"""Does a release that has taken over have to go back? Counts enter, a reason or nothing leaves.

Pure: ``process`` reads the counts from the records. A release goes back only when it is surely too
bad, that is when the whole 95 % interval of a share lies above its limit (Wilson 1927): so chance
does not undo it, and a release that fails every part is gone after five.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from inspector.releaseplan import Releases

LEAST = 5
"""Parts before anything is concluded."""


@dataclass(frozen=True, slots=True)
class Probation:
    """What a release has done since it took over."""

    judged: int
    errors: int
    """Parts of ``judged`` that ended as ``error``."""
    p99_ms: float
    """From picture to verdict."""
    compared: int
    """Parts that its forerunner judged too …"""
    disagreed: int
    """… and judged otherwise."""
    challenge_failed: bool = False


def why_back(seen: Probation, plan: Releases) -> str:
    """The reason to roll back; empty when there is none."""
    if seen.challenge_failed:
        return "the challenge test after it was failed"
    if surely_above(seen.errors, seen.judged, plan.error_rate_max):
        return f"{seen.errors} of {seen.judged} parts could not be judged"
    if plan.latency_ms_max and seen.judged >= 50 and seen.p99_ms > plan.latency_ms_max:
        return f"p99 is {seen.p99_ms:.0f} ms, the limit {plan.latency_ms_max:g} ms"
    if not plan.planned_disagreement and surely_above(
        seen.disagreed, seen.compared, plan.disagreement_max
    ):
        return f"{seen.disagreed} of {seen.compared} parts are judged otherwise than before"
    return ""


def may_take_over(judged: int, disagreed: int, errors: int, plan: Releases) -> bool:
    """Whether a release in shadow has done enough, and well enough, to take over by itself."""
    if plan.promote != "auto" or judged < plan.shadow_parts or errors:
        return False
    return plan.planned_disagreement or disagreed <= plan.disagreement_max * judged


def surely_above(hits: int, n: int, limit: float, z: float = 1.96) -> bool:
    """Whether the lower end of Wilson's interval of ``hits`` in ``n`` is above ``limit``."""
    if n < LEAST:
        return False
    share = hits / n
    centre = share + z * z / (2 * n)
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - reach) / (1 + z * z / n) > limit
