"""What quality's tests need: one part's verdict, and what a printed page says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from shutil import which

import pytest

from inspector.part import Finding, Mode, Outcome, Severity, Times, Verdict, new_part_id


def part(
    number: int,
    *,
    outcome: Outcome = Outcome.PASS,
    label: str = "scratch",
    mode: Mode = Mode.AUTO,
    value: float | None = None,
    score: float = 0.97,
    batch: str = "B-1",
    stream: str = "plc-1",
) -> Verdict:
    """One part's verdict; a reject has ``label`` wrong."""
    now = 1_000_000_000 + number * 40_000_000
    read = Finding("lot", "read", "text", score=score, box=(40.0, 81.0, 198.0, 110.0), view="code",
                   text="L2417A")  # fmt: skip
    findings = [read]
    if value is not None:
        findings.append(Finding("neck", "measure", "height", view="side", value=value, unit="mm"))
    reasons: tuple[str, ...] = ()
    if outcome is Outcome.REJECT:
        reasons = (f"{label} of 3.1 mm on the label",)
        wrong = Finding(
            "surface", "detect", label, ok=False, score=0.9, box=(60.0, 40.0, 110.0, 66.0),
            view="side", severity=Severity.MAJOR, reason=reasons[0],
        )  # fmt: skip
        findings.append(wrong)
    elif outcome is Outcome.ERROR:
        reasons = ("side: no frame within 200 ms",)
    utc = 1_764_000_000_000_000_000 + number * 40_000_000
    times = Times(now, now + 8_000_000, now + 17_000_000, utc, "boot", True)
    return Verdict(
        new_part_id(), "ST-01", stream, number, outcome, mode, batch, times, "bottle@3", "5f" * 32,
        ("a1" * 32,), "inspector 0.1.0", reasons, tuple(findings), None,
    )  # fmt: skip


def words_of(pdf: Path) -> str:
    """All that is written on it."""
    if which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (poppler-utils)")
    out = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, check=True)
    return out.stdout.decode()
