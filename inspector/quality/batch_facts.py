"""All that a batch's report says, gathered from the ledger.

Enters: ``<data>``, a batch. Leaves: `Facts`. ``report.py`` puts them on paper, the command line
prints its charts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspector.config import Quality
from inspector.display import AlarmCode
from inspector.part import Disposition, Mode, Outcome, Verdict
from inspector.quality import challenge, drift, first_article
from inspector.quality.signing import article_subject
from inspector.quality.spc import BatchCharts, Limits
from inspector.quality.tolerances import limits_of
from inspector.store import History, verify
from inspector.store.cursor import (
    batch_stretches,
    desk_since,
    events_within,
    ever_gated,
    parts_of_batch,
)
from inspector.store.genealogy import joined
from inspector.store.holds import KIND as DISPOSITION
from inspector.store.holds import Holds, Run
from inspector.store.pages import changes_of
from inspector.store.periods import reconcile
from inspector.store.proof import newest_words
from inspector.store.signatures import KIND as SIGNATURE
from inspector.store.signatures import Signature, Signatures
from inspector.store.spans import runs_spanning, told_in

PER_LABEL = 3
"""Faulty parts of each kind that are remembered for their pictures."""


@dataclass(slots=True)
class Facts:
    """All that the report says."""

    batch: str
    station: str = ""
    site: str = ""
    line: str = ""
    product: str = ""
    recipes: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    software: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    began_ns: int = 0
    ended_ns: int = 0
    closed: bool = False
    counts: Counter[Outcome] = field(default_factory=Counter)
    others: int = 0
    gates: Counter[str] = field(default_factory=Counter)
    has_gate: bool = True
    """Whether the station ever told a gate anything."""
    gated: int = 0
    """Parts of which the gate was told …"""
    unheard: int = 0
    """… and those of them that it never acknowledged."""
    streams: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """First and last number, and how many of those between have a verdict, of whatever batch."""
    labels: Counter[str] = field(default_factory=Counter)
    faulty: list[Verdict] = field(default_factory=list)
    """Some of each label."""
    charted: dict[str, BatchCharts] = field(default_factory=dict)
    """Charts by recipe: parts of another one are another process, with tolerances of its own."""
    articles: list[tuple[dict[str, Any], tuple[Signature, ...]]] = field(default_factory=list)
    challenges: list[Any] = field(default_factory=list)
    deviations: list[tuple[int, str, str, str]] = field(default_factory=list)
    """When, what, detail, who."""
    alarms: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    """When which rule spoke, by chart and its name."""
    signatures: list[Signature] = field(default_factory=list)
    differences: tuple[str, ...] | None = None
    """Of the counts; None where no independent counter ran."""
    periods: Any = ()
    runs: list[Run] = field(default_factory=list)
    """Its parts: another batch's numbers may lie between them."""
    standing: Disposition | None = None
    """What was decided about all of it, or ``hold`` where some of its parts are on hold."""
    proof: dict[str, Any] = field(default_factory=dict)
    verified: str | None = None
    """Empty: all agrees; None: not run; else the first thing that is wrong."""

    @property
    def charts(self) -> BatchCharts | None:
        """Of the newest recipe; None before the first part."""
        return next(reversed(self.charted.values()), None)

    @property
    def root(self) -> str:
        """Of the newest checkpoint; empty where nothing is signed yet."""
        return str(self.proof.get("line", {}).get("root", ""))


def gather(
    data: Path, batch: str, plan: Quality | None = None,
    limits: Mapping[str, Limits] | None = None, check: bool = True,
) -> Facts:  # fmt: skip
    """Everything about ``batch``; ``limits``: by recipe's name (`tolerances`). Raises
    ``StoreError`` if it has no part."""
    facts = Facts(batch)
    wanted: Counter[str] = Counter()
    with History(data, bound_s=60.0) as history:
        for part in parts_of_batch(history, batch):
            _count(facts, part.verdict, part.gate)
            _chart(facts, part.verdict, plan or Quality(), limits or {})
            if part.verdict.outcome is Outcome.REJECT and part.verdict.mode is Mode.AUTO:
                label = labels_of(part.verdict)[0]
                if wanted[label] < PER_LABEL:
                    wanted[label] += 1
                    facts.faulty.append(part.verdict)
        facts.gated = facts.gates.total()
        facts.has_gate = ever_gated(history)
        _number(facts, history)
        _records(facts, history)
    for (chart, name), said in facts.alarms.items():
        rules = "; ".join(f"{rule} ×{n}" for rule, n in Counter(r for _, r in said).items())
        facts.deviations.append((said[0][0], "spc_alarm", f"{chart}, {name}: {rules}", ""))
    facts.proof = newest_words(data)
    if check:
        report = verify(data, images=False)
        facts.verified = str(report.problems[0]) if report.problems else ""
    facts.deviations.sort(key=lambda row: row[0])
    return facts


def outline(history: History, batch: str) -> Facts:
    """As much of ``gather`` as is known without reading the parts one by one: counts, defects,
    deviations, first articles, challenges, signatures, differences. A page is answered with it; a
    batch that has no part yet has empty ones."""
    facts = Facts(batch)
    summary = history.batch(batch)
    bypassed = history.counts(batch, Mode.BYPASS) | {Outcome.NOT_INSPECTED: 0}  # counted already
    facts.counts.update({o: n + bypassed[o] for o, n in summary.counts.items() if n + bypassed[o]})
    facts.others = summary.others - sum(bypassed.values())
    if summary.last_utc_ns:
        facts.began_ns, facts.ended_ns = summary.first_utc_ns, summary.last_utc_ns
        made = made_when(history, batch, facts.began_ns, facts.ended_ns)
        for run in joined(run for span in made for run in runs_spanning(history, *span, batch)):
            told = told_in(history, run)
            _stretch(facts, run.stream, run.first, run.last)
            facts.gated += told.gated
            facts.unheard += told.unheard
        _number(facts, history)
    facts.labels.update(history.defects(batch))
    _records(facts, history)
    return facts


def made_when(history: History, batch: str, first_ns: int, last_ns: int) -> list[tuple[int, int]]:
    """From when to when it was made, UTC ns, oldest first: more than once where it went on after
    another one."""
    spans, since = [], first_ns
    for change in changes_of(history, batch):
        if change.action != "begin":
            spans.append((since, change.utc_ns))
        elif spans:
            since = change.utc_ns
    if not spans or since > spans[-1][1]:
        return [*spans, (since, max(since, last_ns))]
    begin, end = spans.pop()
    return [*spans, (begin, max(end, last_ns))]  # parts under way when it ended


def _stretch(facts: Facts, stream: str, first: int, last: int) -> None:
    """These numbers of the stream are the batch's."""
    low, high, _ = facts.streams.get(stream, (first, last, 0))
    facts.streams[stream] = (min(low, first), max(high, last), 0)
    before = facts.runs[-1] if facts.runs else Run("", 0, 0)
    if before.stream == stream and before.first <= first <= before.last + 1:
        facts.runs[-1] = Run(stream, before.first, max(before.last, last))
    else:
        facts.runs.append(Run(stream, first, last))


def _number(facts: Facts, history: History) -> None:
    """A number between two of the batch is missing only where no other batch has it."""
    for stream, (first, last, _) in facts.streams.items():
        told = told_in(history, Run(stream, first, last))
        facts.streams[stream] = (first, last, told.verdicts)


def _records(facts: Facts, history: History) -> None:
    """What people and the machine did beside the parts."""
    _batch(facts, history)
    spans = batch_stretches(history, facts.batch)
    _desk(facts, history, spans[0][0] if spans else 1 << 62)
    for span in spans:
        _events(facts, history, span)
    counted = reconcile(history, facts.batch)
    if counted is not None:
        facts.differences, facts.periods = counted.differences, counted.periods
    facts.deviations.sort(key=lambda row: row[0])


def _count(facts: Facts, verdict: Verdict, gate: Any) -> None:
    facts.station = verdict.station
    for known, value in (
        (facts.recipes, verdict.recipe), (facts.digests, verdict.recipe_digest),
        (facts.software, verdict.software), *((facts.models, m) for m in verdict.model_digests),
    ):  # fmt: skip
        if value not in known:
            known.append(value)
    facts.began_ns = facts.began_ns or verdict.times.utc_ns
    facts.ended_ns = max(facts.ended_ns, verdict.times.utc_ns)
    _stretch(facts, verdict.stream, verdict.sequence, verdict.sequence)
    if gate is not None:
        facts.gates[gate.action] += 1
        facts.unheard += not gate.acknowledged_ns
    if verdict.mode in (Mode.AUTO, Mode.BYPASS):
        facts.counts[verdict.outcome] += 1
        if verdict.outcome is Outcome.REJECT:
            facts.labels.update(labels_of(verdict))
    else:
        facts.others += 1


def _chart(facts: Facts, verdict: Verdict, plan: Quality, limits: Mapping[str, Limits]) -> None:
    recipe = verdict.recipe
    charts = facts.charted.get(recipe)
    if charts is None:
        own = limits_of(limits, recipe)
        charts = facts.charted[recipe] = BatchCharts(plan, facts.batch, recipe, own)
    for alarm in charts.part(verdict):
        facts.alarms.setdefault((alarm.chart, alarm.name), []).append(
            (verdict.times.utc_ns, alarm.rule)
        )


def deviation(what: str, detail: str, say: Callable[[str], str]) -> str:
    """The detail of a deviation in a reader's language, as ``say`` has it: an alarm's code and what
    is said of it each by itself, and never what people wrote."""
    if what == "bypass":
        return detail
    head, colon, rest = detail.partition(": ")
    if what == "hold" or head == AlarmCode.BYPASS:
        return f"{say(head)}{colon}{rest}"
    return f"{say(head)}{colon}{say(rest)}" if what == "alarm" else say(detail)


def labels_of(verdict: Verdict) -> list[str]:
    """What was wrong with a part, each once."""
    return list(dict.fromkeys(f.label for f in verdict.findings if not f.ok)) or ["?"]


def _batch(facts: Facts, history: History) -> None:
    changes = changes_of(history, facts.batch)
    facts.began_ns = next((c.utc_ns for c in changes if c.action == "begin"), facts.began_ns)
    for change in changes:
        facts.product, facts.texts = change.product, dict(change.texts)
        facts.closed = change.action == "end"
        if facts.closed:
            facts.ended_ns = change.utc_ns


def _desk(facts: Facts, history: History, since: int) -> None:
    with Signatures(history.data_dir) as signatures:
        for _, record in desk_since(history, first_article.KIND, since):
            sheet = record.body
            if sheet.get("batch") == facts.batch:
                facts.articles.append((sheet, signatures.under(article_subject(sheet))))
        for position, record in desk_since(history, SIGNATURE):
            if record.body.get("batch") == facts.batch:
                facts.signatures.append(signatures.at(position))
    facts.challenges = [r for _, r in desk_since(history, challenge.KIND, since)
                        if r.body.get("batch") == facts.batch]  # fmt: skip
    for _, record in desk_since(history, DISPOSITION):  # what is only planned may be held, too
        body = record.body
        whole = facts.batch in (body.get("batch"), *body.get("batches", ()))
        mine = whole or body.get("concerns") == facts.batch or any(
            run[0] == own.stream and run[1] <= own.last and run[2] >= own.first
            for run in body.get("runs", ()) for own in facts.runs
        )  # fmt: skip
        if mine:
            said = f"{body['disposition']}: {body.get('reason', '')}"
            facts.deviations.append((record.utc_ns, "hold", said, record.principal))
    with Holds(history.data_dir) as holds:
        decided = holds.of_batch(facts.batch)
        facts.standing = decided.disposition if decided else None
        if facts.standing is not Disposition.SCRAP and any(map(holds.held_in, facts.runs)):
            facts.standing = Disposition.HOLD
    for _, record in desk_since(history, drift.KIND, since):
        if record.body.get("batch") == facts.batch:
            said = f"{record.body['feature']}: {record.body['sigmas']:+.1f} σ"
            facts.deviations.append((record.utc_ns, "drift", said, ""))


def _events(facts: Facts, history: History, span: tuple[int, int]) -> None:
    for event in events_within(history, "alarm", span):
        said = f"{event.body.get('code')}: {event.body.get('detail', '')}".rstrip(": ")
        facts.deviations.append((event.utc_ns, "alarm", said, ""))
    for event in events_within(history, "command", span):
        if (event.body.get("result") or {}).get("mode") == Mode.BYPASS:
            reason = str((event.body.get("args") or {}).get("reason", ""))
            facts.deviations.append((event.utc_ns, "bypass", reason, event.principal))
