"""Which job a part belongs to: the one that a client had started when it was judged, with the
measurement that the client named; before the first its batch is the job.

Kept for as long as the server runs: a part's verdict knows no job. ``opcua.py`` and
``visionmethods.py`` use it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from uuid import uuid4

from inspector.part import Verdict, boot_id

BOOT = boot_id()
REMEMBERED = 10_000
"""Jobs; one for each single part, where a client triggers so."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a client has started."""

    id: str
    measurement: str
    since_ns: int
    """Monotonic time of its beginning: a clock that is set moves no part to another job."""

    def precedes(self, verdict: Verdict) -> bool:
        """Whether the part was judged after the job had begun, since the machine was started."""
        times = verdict.times
        return times.boot_id == BOOT and self.since_ns <= times.verdict_ns


class Jobs:
    """The jobs that were started here, oldest first."""

    def __init__(self) -> None:
        self._begun: deque[Job] = deque(maxlen=REMEMBERED)

    @property
    def now(self) -> Job | None:
        """The one that was started last."""
        return self._begun[-1] if self._begun else None

    def begin(self, measurement: str, now_ns: int) -> Job:
        """A new job: what is judged from now on belongs to it."""
        job = Job(f"job-{uuid4().hex[:12]}", measurement, now_ns)
        self._begun.append(job)
        return job

    def undo(self, job: Job) -> None:
        """The line did not start."""
        if job in self._begun:
            self._begun.remove(job)

    def of(self, verdict: Verdict) -> tuple[str, str]:
        """Ids of a part's job and of its measurement."""
        job = next((one for one in reversed(self._begun) if one.precedes(verdict)), None)
        measurement = job.measurement if job else ""
        return (
            job.id if job else verdict.batch,
            measurement or f"{verdict.stream}/{verdict.sequence}",
        )
