"""How often something is done that costs much by itself and little more for several at once.

Enters and leaves: instants. Imports nothing of ours; every process of the station may import it.
"""

from __future__ import annotations


class Pace:
    """Once in ``interval_ns`` on average, and ``burst`` times in a row after a rest: whoever comes
    more often waits for the next and takes along what has come till then.

    The generic cell rate algorithm of ITU-T I.371: one number to remember, nothing to refill.
    """

    def __init__(self, interval_ns: int, burst: int) -> None:
        self._interval_ns = interval_ns
        self._ahead_ns = (burst - 1) * interval_ns
        self._expected_ns = 0

    def wait_ns(self, now_ns: int) -> int:
        """How long it is to be put off from ``now_ns`` on; 0 or less when it may be done."""
        return self._expected_ns - self._ahead_ns - now_ns

    def spend(self, now_ns: int) -> None:
        """It is done at ``now_ns``, due or not: what was early makes nobody wait for longer than
        ``interval_ns``."""
        after_ns = max(self._expected_ns, now_ns) + self._interval_ns
        self._expected_ns = min(after_ns, now_ns + self._ahead_ns + self._interval_ns)
