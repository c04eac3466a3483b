"""How often something is done that costs much by itself and little more for several at once.

Enters and leaves: instants. Imports nothing of ours; every process of the station may import it.
"""

from __future__ import annotations


class Pace:
    """Once in ``interval_ns`` on average, and ``burst`` times in a row after a rest: whoever comes
    more often waits for the next and takes along what has come till then.

    What is in a hurry is done without a word to it, and so holds up nobody.

    The generic cell rate algorithm of ITU-T I.371: one number to remember, nothing to refill.
    """

    def __init__(self, interval_ns: int, burst: int) -> None:
        self._interval_ns = interval_ns
        self._ahead_ns = (burst - 1) * interval_ns
        self._expected_ns = 0

    def put_off_ns(self, now_ns: int) -> int:
        """0 when it is done now, and counts; else how much later it may be asked for again."""
        early_ns = self._expected_ns - self._ahead_ns - now_ns
        if early_ns > 0:
            return early_ns
        self._expected_ns = max(self._expected_ns, now_ns) + self._interval_ns
        return 0
