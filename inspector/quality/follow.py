"""What the line did, told to everything that watches quality; what they have to say comes out.

Enters: the ledger's records by position, looks of pictures, the line's figures, the time. Leaves:
entries ``(kind, body)`` for the desk; kind ``show`` is a condition for the line to show or stop
for. No clock, no socket: ``process.py`` turns the loop. Every entry names the ``position`` in the
line's ledger that made it, so that a process that starts again and reads it once more says nothing
twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Self

from inspector.config import Quality, Station
from inspector.display import AlarmCode
from inspector.part import Disposition, Mode, Outcome, Verdict
from inspector.quality import challenge, drift, first_article, health, spc
from inspector.quality.challenge import FAILED, GOOD, INCONCLUSIVE, Challenges, Result
from inspector.quality.drift import Drift
from inspector.quality.first_article import Article, Look, reference_of
from inspector.quality.health import Health
from inspector.quality.signing import article_subject
from inspector.quality.spc import BatchCharts
from inspector.quality.tags import TagModel, tag_model
from inspector.quality.tolerances import limits_of, tolerances
from inspector.store import BatchChange, Event, History, ImageRecord
from inspector.store.cursor import batch_began, newest_desk
from inspector.store.holds import KIND as DISPOSITION
from inspector.store.records import Record
from inspector.store.signatures import Signatures

Entry = tuple[str, dict[str, Any]]
SHOW = "show"
BACK_MAX = 3_000_000
"""Records that are read again at a start, at most: a shift at 25 parts/s."""
PARTS_MODELLED = 5000
PICTURE_NS = 15_000_000_000
"""A golden part's picture that has not come after so long will not."""
TAGS_NS = 500_000_000
"""How often the process tags are asked for."""
FIT_NS = 10_000_000_000
"""How often the model of tags is fitted anew, by the parts' time: on 5,000 parts it costs 20 ms."""
REFERENCE_LOOKS = 30
"""Pictures that make the reference of focus and light where no first article was signed."""


class Follower:
    """Everything that watches one line."""

    def __init__(
        self,
        station: Station,
        plan: Quality,
        reference: Callable[[str], Mapping[str, Look]] = lambda recipe: {},
        said: frozenset[tuple[str, int]] = frozenset(),
        challenged_upto: int = -1,
        passed: frozenset[str] = frozenset(),
        look: Callable[[ImageRecord], Look | None] = lambda image: None,
        tags_at: Callable[[int], Mapping[str, float]] = lambda utc_ns: {},
    ) -> None:
        """
        Args:
            reference: focus and light at the last signed first article of a recipe's name.
            said: kind and position of entries that were recorded before.
            challenged_upto: what the newest challenge's result already answers for.
            passed: ids of first articles that await nothing but their signature.
            look: what an archived picture looks like; None if it cannot be read.
            tags_at: the process tags as they were at a moment (UTC).
        """
        self._station, self._plan, self._reference, self._said = station, plan, reference, said
        self._challenged_upto, self._passed, self._look = challenged_upto, passed, look
        self._tags_at, self._tags_ns = tags_at, 0
        self._fitted_ns = 0
        self._limits = tolerances(station.recipes)
        self._position = -1
        gated = station.plc is not None or station.output is not None
        self.challenges = Challenges(plan.challenge, gated) if plan.challenge else None
        self.article: Article | None = None
        self._article_ns = 0
        self._recorded = ""
        self.charts: BatchCharts | None = None
        self.drift: Drift | None = None
        self.health = Health(plan)
        self.model: TagModel | None = None
        self._looks: dict[str, list[Look]] = {}
        self._parts: deque[tuple[bool, dict[str, float]]] = deque(maxlen=PARTS_MODELLED)
        self._tags: dict[str, float] = {}
        self._trigger_ns: tuple[str, int, int] = ("", 0, 0)

    @classmethod
    def resume(
        cls, station: Station, plan: Quality, history: History,
        look: Callable[[ImageRecord], Look | None] = lambda image: None,
        tags_at: Callable[[int], Mapping[str, float]] = lambda utc_ns: {},
    ) -> tuple[Self, int]:  # fmt: skip
        """A follower of ``history``'s line, and the position behind which it must read."""
        kinds = (first_article.KIND, challenge.KIND, spc.KIND, drift.KIND, DISPOSITION)
        known = {kind: newest_desk(history, kind, 500) for kind in kinds}
        said = frozenset(
            (kind, int(record.body["position"]))
            for kind, records in known.items() for _, record in records
            if isinstance(record.body.get("position"), int)
        )  # fmt: skip
        done = [
            int(record.body["position"]) for _, record in known[challenge.KIND]
            if record.body.get("result") != INCONCLUSIVE and "position" in record.body
        ]  # fmt: skip
        upto = max(done, default=-1)
        data = station.data

        def reference(recipe: str) -> Mapping[str, Look]:
            for _, record in newest_desk(history, first_article.KIND, 200):
                sheet = record.body
                if str(sheet.get("recipe", "")).partition("@")[0] == recipe and sheet.get("passed"):
                    with Signatures(data) as signatures:
                        if signatures.under(article_subject(sheet)):
                            return reference_of(sheet)
            return {}

        passed = frozenset(
            str(r.body["id"]) for _, r in known[first_article.KIND] if r.body.get("passed")
        )
        follower = cls(station, plan, reference, said, upto, passed, look, tags_at)
        end = history.size() - 1
        began = batch_began(history) - 1
        # the setting that says what is awaited stands right behind the batch's beginning
        start = min(began, upto) if done and plan.challenge else began
        return follower, max(-1, start, end - BACK_MAX)

    def record(self, position: int, record: Record) -> list[Entry]:
        """The next record of the line's ledger."""
        self._position = position
        entries: list[Entry] = []
        if isinstance(record, Event) and record.kind == "setting":
            self._setting(record)
        elif isinstance(record, BatchChange) and record.action == "begin":
            self.charts = None
            entries.append(_show(AlarmCode.OUT_OF_CONTROL, on=False))
        elif isinstance(record, Verdict):
            entries += self._verdict(record)
        elif isinstance(record, ImageRecord):
            entries += self._image(record)
        if self.challenges is not None and position > self._challenged_upto:
            was_due = self.challenges.due_ns
            if result := self.challenges.record(record):
                entries += self._challenged(result)
            elif self.challenges.due_ns and not was_due:
                entries.append(_show(AlarmCode.CHALLENGE_DUE, self.challenges.why))
        return self._new(entries)

    def at(self, utc_ns: int) -> list[Entry]:
        """It is ``utc_ns``, and all records were read."""
        entries: list[Entry] = []
        article = self.article
        if article is not None and article.complete and not article.over:
            newest = max(v.times.utc_ns for v in article.golden)
            if utc_ns - newest > PICTURE_NS:
                article.failed = "no picture of a golden part came; feed the list again"
        # only when all was read: the pictures of a part's views are recorded together
        entries += self._articled()
        if self.challenges is not None:
            was_due = self.challenges.due_ns
            if result := self.challenges.at(utc_ns):
                entries += self._challenged(result)
            elif self.challenges.due_ns and not was_due:
                entries.append(_show(AlarmCode.CHALLENGE_DUE, self.challenges.why))
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
            known = self._reference(recipe.partition("@")[0]).get(view)
            start = Look(median(k.focus for k in seen), median(k.light for k in seen))
            was = known or start
            self.health.look(utc_ns / 1e9, view, look.focus, look.light, (was.focus, was.light))
            self._tags |= {f"focus {view}": look.focus, f"light {view}": look.light}
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
            entries.append(_show(AlarmCode.MAINTENANCE, on=False))
        for name, indicator in self.health.indicators.items():
            if name.startswith("temperature"):
                self._tags[name] = indicator.value
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
            "moves_with": self._moves_with(),
        }  # fmt: skip

    def _setting(self, event: Event) -> None:
        body: Mapping[str, Any] = event.body
        awaits, needs = str(body.get("awaits", "")), body.get("needs") or ()
        wanted = awaits if first_article.KIND in needs else ""
        if self.article is not None and self.article.id == wanted:
            return
        self.article = None
        if wanted and self._plan.first_article is not None:
            recipe = str(body.get("recipe", ""))
            self.article = Article(
                self._plan.first_article, wanted, str(body.get("batch", "")), recipe,
                dict(body.get("texts") or {}), self._reference(recipe),
            )  # fmt: skip

    def _verdict(self, verdict: Verdict) -> list[Entry]:
        if verdict.mode is Mode.SETUP:
            article = self.article
            if article is None or verdict.batch != article.batch or article.id in self._passed:
                return []
            article.part(verdict)
            return self._articled() if article.failed else []
        if verdict.mode is not Mode.AUTO:
            return []
        entries: list[Entry] = []
        if (
            self.charts is None
            or (self.charts.batch, self.charts.recipe) != (verdict.batch, verdict.recipe)
        ):  # fmt: skip
            limits = limits_of(self._limits, verdict.recipe)
            self.charts = BatchCharts(self._plan, verdict.batch, verdict.recipe, limits)
            if self.drift is None or self.drift.recipe != verdict.recipe:
                entries.append(_show(AlarmCode.DRIFT, on=False))
                self.drift = Drift(verdict.recipe, limits)
                self._looks.clear()
                self._parts.clear()
        assert self.drift is not None
        self._remember(verdict)
        groups = len(self.charts.groups)
        alarms = self.charts.part(verdict)
        if len(self.charts.groups) > groups and verdict.times.utc_ns - self._fitted_ns >= FIT_NS:
            self._fitted_ns = verdict.times.utc_ns
            self._fit()
        moves = self._moves_with()
        for alarm in alarms:
            entries.append((spc.KIND, alarm.body | ({"moves_with": moves} if moves else {})))
            detail = f"{alarm.name}: {alarm.rule}" + (
                f"; moves with {moves['tag']}" if moves else ""
            )
            entries.append(_show(AlarmCode.OUT_OF_CONTROL, detail))
        return entries + self._drifts(self.drift.part(verdict))

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
        if (
            article is None
            or not article.over
            or self._recorded == f"{article.id}.{article.attempt}"
        ):
            return []
        self._recorded = f"{article.id}.{article.attempt}"
        sheet = article.sheet()
        if not article.passed:
            self.article = article.again()
        elif self.challenges is not None and article.plan.seeded:
            self.challenges.good(max(v.times.utc_ns for v in article.golden))
        return [(first_article.KIND, sheet)]

    def _challenged(self, result: Result) -> list[Entry]:
        entries: list[Entry] = [(challenge.KIND, dict(result.body))]
        if result.hold:
            entries.append((DISPOSITION, {
                "disposition": str(Disposition.HOLD), "runs": [list(run) for run in result.hold],
                "reason": f"challenge test: {result.why}", "requester": "quality",
                "concerns": result.batch,
            }))  # fmt: skip
            entries.append(_show(AlarmCode.CHALLENGE_FAILED, result.why, stop=True))
        if result.result in (GOOD, FAILED):
            entries.append(_show(AlarmCode.CHALLENGE_DUE, on=False))
        elif result.result == INCONCLUSIVE:
            entries.append(_show(AlarmCode.CHALLENGE_DUE, f"repeat it: {result.why}"))
        return entries

    def _drifts(self, warnings: list[drift.Warning]) -> list[Entry]:
        entries: list[Entry] = []
        for warning in warnings:
            entries.append((drift.KIND, warning.body))
            detail = f"{warning.feature}: {warning.body['sigmas']:+.1f} σ"
            entries.append(_show(AlarmCode.DRIFT, detail))
        return entries

    def _remember(self, verdict: Verdict) -> None:
        """The part for the model of tags: what the line itself knows, and what was told."""
        stream, number, trigger_ns = self._trigger_ns
        now_ns = verdict.times.trigger_ns
        self._trigger_ns = (verdict.stream, verdict.sequence, now_ns)
        if verdict.outcome not in (Outcome.PASS, Outcome.REJECT):
            return
        if abs(verdict.times.utc_ns - self._tags_ns) >= TAGS_NS:
            self._tags_ns = verdict.times.utc_ns
            self._tags |= self._tags_at(self._tags_ns)
        tags = dict(self._tags)
        if (stream, number) == (verdict.stream, verdict.sequence - 1) and 0 < trigger_ns < now_ns:
            tags["takt_ms"] = (now_ns - trigger_ns) / 1e6
        self._parts.append((verdict.outcome is Outcome.REJECT, tags))

    def _moves_with(self) -> dict[str, Any] | None:
        """The tag that moves with the defects, and the share of defects that all tags as they are
        now let expect; None where no tag stands out."""
        named = self.model.named() if self.model else None
        if self.model is None or named is None:
            return None
        rate = self.model.rate(self._parts[-1][1]) if self._parts else None
        return {
            "tag": named.tag, "odds_ratio": named.odds_ratio, "low": named.low,
            "high": named.high, "p": named.p,
            "expected": None if rate is None else {
                "share": rate.share, "low": rate.low, "high": rate.high,
            },
        }  # fmt: skip

    def _fit(self) -> None:
        """The model anew, on the parts whose tags are all known."""
        if not self._parts:
            return
        names = set(self._parts[-1][1])
        whole = [(faulty, tags) for faulty, tags in self._parts if names <= tags.keys()]
        columns = {name: [tags[name] for _, tags in whole] for name in names}
        self.model = tag_model([faulty for faulty, _ in whole], columns) if whole else None

    def _new(self, entries: list[Entry]) -> list[Entry]:
        """Those that were not said before, each with its position."""
        found = []
        old = any((kind, self._position) in self._said for kind, _ in entries)
        for kind, body in entries:
            if kind != SHOW:
                body = body | {"position": self._position}
            if not old:
                found.append((kind, body))
        return found


def _show(code: AlarmCode, detail: str = "", *, on: bool = True, stop: bool = False) -> Entry:
    return SHOW, {"code": str(code), "detail": detail, "on": on, "stop": stop}
