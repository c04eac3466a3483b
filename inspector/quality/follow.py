"""What the line did, told to everything that watches quality; what they have to say comes out.

Enters: the ledger's records by position, looks of pictures, the line's figures, the time. Leaves:
entries ``(kind, body)`` for the desk; kind ``show`` is a condition for the line to show or stop
for. No clock, no socket: ``process.py`` turns the loop. Every entry names the ``position`` in the
line's ledger that made it, so that who starts again and reads it once more says nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any, Self

from inspector.config import Quality, Station
from inspector.display import AlarmCode
from inspector.part import Disposition, GateDecision, Mode, Verdict
from inspector.quality import challenge, drift, first_article, health, spc
from inspector.quality.before import (
    Said,
    newest_result,
    newest_tested,
    ran_out,
    reference,
    said_of,
    said_since,
)
from inspector.quality.challenge import INCONCLUSIVE, STOPPED, Challenges, Result
from inspector.quality.drift import Drift
from inspector.quality.first_article import Article, Look
from inspector.quality.health import Health
from inspector.quality.moves import Moves
from inspector.quality.signing import Awaited
from inspector.quality.spc import BatchCharts
from inspector.quality.tolerances import limits_of, tolerances
from inspector.store import BatchChange, Event, History, ImageRecord
from inspector.store.cursor import batch_began, desk_since
from inspector.store.holds import KIND as DISPOSITION
from inspector.store.judged import Judged, judged
from inspector.store.records import Record

Entry = tuple[str, dict[str, Any]]
SHOW = "show"
BACK_MAX = 3_000_000
"""Records that are read again at a start, at most: a shift at 25 parts/s."""
PICTURE_NS = 15_000_000_000
"""A golden part's picture that has not come after so long will not."""
REFERENCE_LOOKS = 30
"""Pictures that make the reference of focus and light where no first article was signed."""


class Follower:
    """Everything that watches one line."""

    def __init__(
        self,
        station: Station,
        plan: Quality,
        reference: Callable[[str], Mapping[str, Look]] = lambda recipe: {},
        said: frozenset[Said] = frozenset(),
        challenged_upto: int = -1,
        passed: frozenset[str] = frozenset(),
        look: Callable[[ImageRecord], Look | None] = lambda image: None,
        tags_at: Callable[[int], Mapping[str, float]] = lambda utc_ns: {},
    ) -> None:
        """
        Args:
            reference: focus and light at the last signed first article of a recipe's name.
            challenged_upto: what the newest challenge's result already answers for.
            passed: ids of first articles that await nothing but their signature.
            look: what an archived picture looks like; None if it cannot be read.
            tags_at: the process tags as they were at a moment (UTC).
        """
        self._station, self._plan, self._reference, self._said = station, plan, reference, said
        self._challenged_upto, self._passed, self._look = challenged_upto, passed, look
        self._limits = tolerances(station.recipes)
        self._position = -1
        self.challenges = Challenges(plan.challenge, station.gated) if plan.challenge else None
        self.awaited = Awaited.of({})
        """What the line waits for, by its newest setting."""
        self.article: Article | None = None
        self._recorded = ""
        self._counted = ""
        """The first article that counted as a challenge."""
        self._drifting = False
        """Whether the line shows that a feature drifts."""
        self._drift_upto = -1
        """What the drift that was remembered has seen already."""
        self._ran_out: frozenset[tuple[str, int]] = frozenset()
        self._owes_stop = False
        """Whether a challenge failed before a restart, and the line was perhaps never told."""
        self.charts: BatchCharts | None = None
        self.drift: Drift | None = None
        self.health = Health(plan)
        self.moves = Moves(tags_at)
        self._looks: dict[str, list[Look]] = {}
        self._signed: dict[str, Mapping[str, Look]] = {}
        """By recipe the reference as it was found; the next signature changes the setting."""

    @classmethod
    def resume(
        cls, station: Station, plan: Quality, history: History,
        look: Callable[[ImageRecord], Look | None] = lambda image: None,
        tags_at: Callable[[int], Mapping[str, float]] = lambda utc_ns: {},
        memory: Mapping[str, Any] | None = None,
    ) -> tuple[Self, int]:  # fmt: skip
        """A follower of ``history``'s line, and the position behind which it must read.
        ``memory``: what `memory` gave the last time."""
        done = newest_result(history)
        upto = int(done["position"]) if done else -1
        end = history.size() - 1
        began = batch_began(history) - 1
        # the setting that says what is awaited stands right behind the batch's beginning
        start = min(began, upto) if done and plan.challenge else began
        if memory is not None and memory["layout"] == drift.LAYOUT and memory["position"] <= end:
            start = min(start, memory["position"])
        else:
            memory = None  # of another version, or of a ledger that a back-up has replaced
        after = max(-1, start, end - BACK_MAX)
        sheets = desk_since(history, first_article.KIND, after + 1)
        passed = frozenset(str(r.body["id"]) for _, r in sheets if r.body.get("passed"))
        tested = newest_tested(history, sheets, station.gated)
        if tested and int(tested["position"]) > upto:
            done, upto = tested, int(tested["position"])
        follower = cls(
            station, plan, partial(reference, history), said_since(history, after + 1), upto,
            passed, look, tags_at,
        )  # fmt: skip
        if follower.challenges is not None and done:
            follower.challenges.resume(done)
            follower._owes_stop = bool(follower.challenges.unstopped)
        if memory is not None:
            follower.drift = Drift.recalled(memory, limits_of(follower._limits, memory["recipe"]))
            follower._drift_upto = memory["position"]
        follower._ran_out = ran_out(history)
        for event in history.events("setting", 1):
            follower.awaited = Awaited.of(event.body)
        return follower, after

    def memory(self) -> dict[str, Any] | None:
        """What no ledger holds in so little: what good parts were like when their recipe began."""
        if self.drift is None:
            return None
        return self.drift.memory() | {"position": max(self._position, self._drift_upto)}

    @property
    def hears_gates(self) -> bool:
        """Whether a gate's decision says anything: of the parts of a challenge, or the seeded ones
        of a first article."""
        article, challenges = self.article, self.challenges
        return challenges is not None and (
            challenges.window is not None or (article is not None and article.unheard)
        )

    @property
    def hastens(self) -> bool:
        """Whether somebody at the line waits for what comes next: a challenge is under way, or a
        first article has no result."""
        article = self.article
        return (self.challenges is not None and self.challenges.window is not None) or (
            article is not None
            and article.id not in self._passed
            and self._recorded != article.attempted
        )

    def record(self, position: int, record: Record | Judged) -> list[Entry]:
        """The next record of the line's ledger."""
        self._position = position
        entries: list[Entry] = []
        if isinstance(record, Verdict) and record.mode is Mode.AUTO:
            record = judged(record)
        if isinstance(record, Judged):
            entries += self._produced(record)
        elif isinstance(record, Event) and record.kind == "setting":
            self._setting(record)
        elif isinstance(record, BatchChange) and record.action == "begin":
            self.charts = None
            entries.append(_show(AlarmCode.OUT_OF_CONTROL))
        elif isinstance(record, Verdict) and record.mode is Mode.SETUP:
            entries += self._tried(record)
        elif isinstance(record, ImageRecord):
            entries += self._image(record)
        elif isinstance(record, GateDecision) and self.article is not None:
            self.article.heard(record)
        if self.challenges is not None and position > self._challenged_upto:
            was_due = self.challenges.due_ns
            entries += self._challenged(self.challenges.record(record), was_due)
        return self._new(entries) if entries else entries

    def clock_set(self, by_ns: int) -> None:
        """UTC was set, by so much, since this was told last."""
        if self.challenges is not None:
            self.challenges.clock_set(by_ns)

    def at(self, utc_ns: int) -> list[Entry]:
        """It is ``utc_ns``, and all records were read."""
        entries: list[Entry] = []
        article = self.article
        if article is not None and article.complete and not article.over:
            newest = max(v.times.utc_ns for v in article.golden)
            if abs(utc_ns - newest) > PICTURE_NS:  # a clock that is set back waits no longer
                article.failed = "no picture of a golden part came; feed the list again"
        # only when all was read: the pictures of a part's views are recorded together
        entries += self._articled() + self._tested()
        if self.challenges is not None:
            if self._owes_stop and (why := self.challenges.unstopped):
                entries.append(_show(AlarmCode.CHALLENGE_FAILED, why, stop=True))
            self._owes_stop = False
            was_due = self.challenges.due_ns
            entries += self._challenged(self.challenges.at(utc_ns), was_due)
        return self._new(entries)

    def picture(
        self, body: Mapping[str, Any], looks: Mapping[str, Look], utc_ns: int
    ) -> list[Entry]:
        """A passed part's picture, from the display."""
        entries: list[Entry] = []
        if body.get("mode") != Mode.AUTO or self.drift is None:
            return []
        where = {"stream": body.get("stream"), "number": body.get("sequence"),
                 "batch": body.get("batch")}  # fmt: skip
        recipe = self.drift.recipe
        for view, look in looks.items():
            seen = self._looks.setdefault(view, [])
            if len(seen) < REFERENCE_LOOKS:
                seen.append(look)
            known = self._looked_up(recipe.partition("@")[0]).get(view)
            start = Look(median(k.focus for k in seen), median(k.light for k in seen))
            was = known or start
            self.health.look(utc_ns / 1e9, view, look.focus, look.light, (was.focus, was.light))
            self.moves.told({f"focus {view}": look.focus, f"light {view}": look.light})
            entries += self._drifts(self.drift.value(f"focus {view}", look.focus, where))
            entries += self._drifts(self.drift.value(f"light {view}", look.light, where))
        return self._new(entries)

    def figures(self, utc_ns: int, figures: Mapping[str, float]) -> list[Entry]:
        """The line's figures, once a minute."""
        entries: list[Entry] = []
        for order in self.health.figures(utc_ns / 1e9, figures):
            body = order.body | {"station": self._station.station, "position": self._position}
            entries.append((health.ORDER, body))
            entries.append(_show(AlarmCode.MAINTENANCE, f"{order.indicator}: {body['advice']}"))
        if not any(i.ordered for i in self.health.indicators.values()):
            entries.append(_show(AlarmCode.MAINTENANCE))
        warm = {n: i.value for n, i in self.health.indicators.items() if n.startswith("temp")}
        self.moves.told(warm)
        return entries

    def asked(self) -> dict[str, Any]:
        """Of the state, what somebody at the line waits for: first article and challenge."""
        article = self.article
        return {
            "first_article": None if article is None else {
                "id": article.id, "batch": article.batch, "attempt": article.attempt,
                "passed": article.passed or article.id in self._passed,
                "failed": article.failed, "recorded": self._recorded,
                "steps": [{"name": s.name, "state": str(s.state), "detail": s.detail}
                          for s in article.steps()],
            },
            "challenge": self.challenges.state() if self.challenges else None,
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """For pages."""
        return self.asked() | {
            "spc": self.charts.state() if self.charts else None,
            "drift": self.drift.state() if self.drift else None,
            "health": self.health.state(),
            "moves_with": self.moves.named(),
        }  # fmt: skip

    def _setting(self, event: Event) -> None:
        body: Mapping[str, Any] = event.body
        self.awaited = Awaited.of(body)
        self._signed.clear()
        wanted = self.awaited.id if first_article.KIND in self.awaited.needs else ""
        if self.article is not None and self.article.id == wanted:
            return
        self.article = None
        if wanted and self._plan.first_article is not None:
            recipe = self.awaited.recipe
            self.article = Article(
                self._plan.first_article, wanted, self.awaited.batch, recipe,
                dict(body.get("texts") or {}), self._looked_up(recipe),
            )  # fmt: skip

    def _looked_up(self, recipe: str) -> Mapping[str, Look]:
        if recipe not in self._signed:
            self._signed[recipe] = self._reference(recipe)
        return self._signed[recipe]

    def _tried(self, verdict: Verdict) -> list[Entry]:
        """A part of a line that is being set up."""
        article = self.article
        if article is None or verdict.batch != article.batch or article.id in self._passed:
            return []
        article.part(verdict)
        return self._articled() if article.failed else []

    def _produced(self, part: Judged) -> list[Entry]:
        """A part in production."""
        entries: list[Entry] = []
        job, charts, new = part.job, self.charts, self._position > self._drift_upto
        if charts is None or (charts.batch, charts.recipe) != (job.batch, job.recipe):
            limits = limits_of(self._limits, job.recipe)
            charts = self.charts = BatchCharts(self._plan, job.batch, job.recipe, limits)
            if new and (self.drift is None or self.drift.recipe != job.recipe):
                self.drift, self._drifting = Drift(job.recipe, limits), False
                entries.append(_show(AlarmCode.DRIFT))
                self._looks.clear()
                self.moves.clear()
        self.moves.part(part)
        groups = charts.closed
        alarms = charts.part(part)
        if charts.closed > groups:
            self.moves.fit(part.utc_ns)
        moves = self.moves.named() if alarms else None
        for alarm in alarms:
            entries.append((spc.KIND, alarm.body | ({"moves_with": moves} if moves else {})))
            detail = f"{alarm.name}: {alarm.rule}" + (
                f"; moves with {moves['tag']}" if moves else ""
            )
            entries.append(_show(AlarmCode.OUT_OF_CONTROL, detail))
        return entries + self._drifts(self.drift.part(part) if new and self.drift else [])

    def _image(self, image: ImageRecord) -> list[Entry]:
        """A golden part's picture is in the archive."""
        article = self.article
        if article is None or article.id in self._passed:
            return []
        if any(v.part_id == image.part_id for v in article.golden) and (look := self._look(image)):
            article.picture({image.view: look})
        return []

    def _articled(self) -> list[Entry]:
        """The sheet, once an attempt has its result; a failed one begins the list anew."""
        article = self.article
        if article is None or not article.over or self._recorded == article.attempted:
            return []
        self._recorded = article.attempted
        sheet = article.sheet()
        if not article.passed:
            self.article = article.again()
        return [(first_article.KIND, sheet)]

    def _tested(self) -> list[Entry]:
        """A first article that passed counts as a challenge, once the gate has rejected its seeded
        parts."""
        article = self.article
        if article is None or self.challenges is None or self._counted == article.id:
            return []
        told = not self._station.gated or article.challenged
        if not (article.plan.seeded and told and self._recorded == article.attempted):
            return []
        self._counted = article.id
        self.challenges.good(max(v.times.utc_ns for v in article.golden))
        return [_show(AlarmCode.CHALLENGE_DUE)]

    def _challenged(self, result: Result | None, was_due: int) -> list[Entry]:
        assert self.challenges is not None
        if result is None:
            due = self.challenges.due_ns and not was_due
            return [_show(AlarmCode.CHALLENGE_DUE, self.challenges.why)] if due else []
        known = result.window in self._ran_out  # read once more, it runs out once more
        entries: list[Entry] = [] if known else [(challenge.KIND, dict(result.body))]
        if result.hold:
            held: Entry = (DISPOSITION, {
                "disposition": str(Disposition.HOLD), "runs": [list(run) for run in result.hold],
                "reason": f"challenge test: {result.why}", "requester": "quality",
                "concerns": result.batch,
            })  # fmt: skip
            if result.result == STOPPED:
                return [held]
            entries.append(held)
            entries.append(_show(AlarmCode.CHALLENGE_FAILED, result.why, stop=True))
        again = f"repeat it: {result.why}" if result.result == INCONCLUSIVE else ""
        return [*entries, _show(AlarmCode.CHALLENGE_DUE, again)]

    def _drifts(self, warnings: list[drift.Warning]) -> list[Entry]:
        entries: list[Entry] = [(drift.KIND, warning.body) for warning in warnings]
        drifting = self.drift is not None and self.drift.drifting > 0
        if warnings or drifting != self._drifting:
            entries.append(_show(AlarmCode.DRIFT, self.drift.farthest() if self.drift else ""))
        self._drifting = drifting
        return entries

    def _new(self, entries: list[Entry]) -> list[Entry]:
        """Those that were not said before, each with its position. A condition that they brought
        about is shown again, whoever has been started anew; the line stops for one once."""
        old = any(said_of(kind, self._position, body) in self._said for kind, body in entries)
        return [
            (kind, body if kind == SHOW else body | {"position": self._position})
            for kind, body in entries if not old or (kind == SHOW and not body["stop"])
        ]  # fmt: skip


def _show(code: AlarmCode, detail: str = "", *, stop: bool = False) -> Entry:
    """A condition; without ``detail`` that it is over."""
    return SHOW, {"code": str(code), "detail": detail, "on": bool(detail), "stop": stop}
