"""What the steps of a recipe found goes in; what follows from it, by rules and limits, comes out.

Without rules each step that finds something wrong rejects the part. A step that a rule names
rejects no more by itself: the rule does. Imported by ``recipe`` alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from pydantic import Field, ValidationInfo, model_validator

from inspector.config import Settings, nearest
from inspector.part import Finding, Severity
from inspector.tools.card import card_in
from inspector.tools.step import Name, Step


class Rule(Settings):
    """Which of some steps, or of earlier rules, must hold: one of ``all``, ``any``, ``of``."""

    name: Name
    all: tuple[str, ...] = ()
    """Each of these holds: a group, to be named by a later rule."""
    any: tuple[str, ...] = ()
    """At least one of these holds."""
    of: tuple[str, ...] = ()
    at_least: int = Field(0, ge=0)
    """With ``of``: at least this many of them hold."""
    severity: Severity = Severity.MAJOR
    reason: str = ""
    """What a person reads when it is broken."""

    @model_validator(mode="after")
    def _says_one_thing(self) -> Rule:
        given = [n for n in ("all", "any", "of") if getattr(self, n)]
        if len(given) != 1:
            raise ValueError("a rule lists steps under exactly one of `all`, `any`, `of`")
        if (given == ["of"]) != (self.at_least > 0) or self.at_least > len(self.of):
            raise ValueError("`of` goes with `at_least`, from 1 to the number of steps in `of`")
        if len(set(self.members)) < len(self.members):
            raise ValueError("a rule names each step once")
        return self

    @property
    def members(self) -> tuple[str, ...]:
        """The names of steps and rules that it is about."""
        return self.all or self.any or self.of

    @property
    def needed(self) -> int:
        """How many of the members must hold."""
        return self.at_least or (len(self.all) if self.all else 1)


def check_follow(steps: Sequence[Step], info: ValidationInfo) -> None:
    """Raises ``ValueError`` when a step follows what is no earlier step of its view, what that one
    never finds, or would see one of many parts alone."""
    for index, step in enumerate(steps):
        leader, _, label = step.follow.partition("/")
        earlier = {s.name: s for s in steps[:index] if s.view == step.view}
        if step.follow and leader not in earlier:
            what = f"tool `{step.name}` follows `{leader}`, no tool of its view above it"
            raise ValueError(f"{what}; {nearest(leader, earlier)}")
        found = earlier.get(leader)
        if found and not found.leads:
            raise ValueError(
                f"tool `{step.name}` follows `{leader}`, but {found.kind} finds no place in order"
            )
        if found and label:
            card = card_in(info, getattr(getattr(found, "params", None), "model", ""))
            known = found.labels(card.classes if card else ())
            if known and label not in known:
                near = nearest(label, known)
                raise ValueError(f"tool `{step.name}`: `{leader}` finds no `{label}`; {near}")
        if found and found.kind == "align" and found.every and not step.every:
            what = f"tool `{step.name}` follows `{leader}`, which finds `every` part of several"
            raise ValueError(f"{what}: it would see the last alone; follow `{found.follow}`")


def check_rules(rules: Sequence[Rule], steps: Collection[str]) -> None:
    """Raises ``ValueError`` when a rule names what is neither a step nor an earlier rule."""
    known = list(steps)
    for rule in rules:
        if rule.name in known:
            raise ValueError(f"rule `{rule.name}` has the name of a tool or of another rule")
        for member in rule.members:
            if member not in known:
                near = nearest(member, known)
                raise ValueError(f"rule `{rule.name}` names `{member}`, no tool above; {near}")
        known.append(rule.name)


def settle(
    rules: Sequence[Rule],
    findings: Iterable[Finding],
    silent: Collection[str],
    idle: Collection[str] = (),
) -> tuple[list[Finding], set[str]]:
    """The findings after the rules, and the steps that were excused.

    ``silent`` are the steps that gave no answer: they do not hold. ``idle`` are those that had
    nothing to look at: they break no rule, and excuse nobody. What a rule excuses stays with its
    reason, but is ``ok``; a rule that is broken adds one finding of kind ``rule``.
    """
    findings = list(findings)
    bad = {f.tool for f in findings if not f.ok} | set(silent)
    idle = set(idle)
    under: dict[str, set[str]] = {}
    excused: set[str] = set()
    blamed: set[str] = set()
    named = {member for rule in rules for member in rule.members}
    broken = []
    for rule in rules:
        failed = [m for m in rule.members if m in bad]
        steps = set[str]().union(*(under.get(m, {m}) for m in rule.members))
        under[rule.name] = steps
        holding = [m for m in rule.members if m not in bad and m not in idle]
        if not holding and not failed:
            idle.add(rule.name)
        if not failed or len(holding) >= rule.needed:
            excused |= steps if rule.name not in named else set()
            continue
        bad.add(rule.name)
        if rule.name not in named:
            blamed |= steps
            why = f"{rule.name}: {', '.join(failed)} failed, {rule.needed} of "
            why += f"{len(rule.members)} must hold"
            broken.append(
                Finding(
                    tool=rule.name,
                    kind="rule",
                    label=rule.name,
                    ok=False,
                    severity=rule.severity,
                    reason=rule.reason or why,
                )
            )
    excused -= blamed
    held = [replace(f, ok=True) if not f.ok and f.tool in excused else f for f in findings]
    return held + broken, excused


def tolerate(
    findings: Sequence[Finding],
    limits: Mapping[Severity, int],
    so_far: Mapping[Severity, int] | None,
) -> tuple[list[Finding], tuple[Severity, ...]]:
    """The findings after the batch's limits, and the severities that this part has used up.

    ``so_far`` counts the parts of the batch that were let through with a finding of each severity.
    None is a caller that does not count, to whom nothing is let through.
    """
    used = tuple(s for s in Severity if any(not f.ok and f.severity is s for f in findings))
    if so_far is None or not used or any(so_far.get(s, 0) >= limits.get(s, 0) for s in used):
        return list(findings), ()
    return [replace(f, ok=True) for f in findings], used
