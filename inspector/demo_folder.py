"""The demo where no C compiler has built the virtual camera: pictures replayed from a folder.

A film set enters; the station judges its side views with the line's own tools, records them and
sets a digital output, here a file. There is no trigger and no world, so each picture is a part; the
counts of defective parts, escapes and false rejects come from comparing the ledger with the films'
truth afterwards, and ``camera`` says ``folder``. Only the demo imports this.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
from ruamel.yaml import YAML

from inspector import store
from inspector.part import GateAction, Outcome
from inspector.store.query import History
from inspector.trial import CONFIGS, TrialError, failed, memory_of_tree, wait_for
from inspector.virtual.filmset import FilmSet

RECIPE = CONFIGS / "recipes" / "bench-print.yaml"


def folder_demo(films: FilmSet, home: Path, parts: int, rate: float) -> dict[str, Any]:
    """Replay ``parts`` pictures at ``rate`` a second. Raises ``TrialError``."""
    pictures, data = home / "pictures", home / "data"
    pictures.mkdir(parents=True)
    gate = home / "gate"
    gate.write_text("0\n")
    film = films.film("side")
    for index in range(films.count):
        cv2.imwrite(str(pictures / f"{index:06}.png"), film.picture(index))
    settings = {
        "station": "ST-01",
        "data": str(data),
        "models": str(CONFIGS.parent / "models"),
        "recipes": [str(RECIPE)],
        "cameras": [
            {
                "name": "side",
                "source": "folder",
                "folder": str(pictures),
                "rate": rate,
                "trigger": "free",
            }
        ],
        "clock": "trusted",
        "output": {"path": str(gate)},
        "web": None,
        "batch": {"id": films.lot, "product": films.product, "texts": {"lot": films.lot}},
    }
    station_file = home / "station.yaml"
    with station_file.open("w") as stream:
        YAML(typ="safe").dump(settings, stream)
    command = [sys.executable, "-m", "inspector", "run", str(station_file)]
    with (home / "station.log").open("wb") as log:
        station = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        if not wait_for(
            lambda: _decided(data) >= parts, parts / rate * 2 + 60, lambda: station.poll() is None
        ):
            raise failed(f"the station did not judge {parts} parts", home / "station.log")
        memory = memory_of_tree(station.pid)
    finally:
        station.terminate()
        station.wait(30)
    return _report(films, data, parts, rate, memory)


def _decided(data: Path) -> int:
    if not (data / "line.db").exists():
        return 0
    with History(data) as history:
        return history.gated()[0]


def _report(
    films: FilmSet, data: Path, parts: int, rate: float, memory: dict[str, float]
) -> dict[str, Any]:
    walked = store.verify(data)
    if not walked.ok:
        raise TrialError(str(walked))
    truth = films.truth()
    with History(data) as history:
        seen = list(history.last(1 << 30))
    told = {p.verdict.sequence: p.gates[-1].action for p in seen if p.gates}
    judged = [p.verdict for p in seen if p.verdict.sequence <= parts]
    outcomes = {v.sequence: v.outcome for v in judged}
    bad = {n for n in outcomes if truth[(n - 1) % films.count]["defects"]}
    waits = sorted((v.times.verdict_ns - v.times.frame_ns) / 1e6 for v in judged)
    passed = {n for n, outcome in outcomes.items() if outcome is Outcome.PASS}
    return {
        "triggers": min(parts, max(p.verdict.sequence for p in seen)),
        "verdicts": len(judged),
        "gate_decisions": len(told.keys() & outcomes.keys()),
        "passed": len(passed),
        "rejected": sum(outcome is Outcome.REJECT for outcome in outcomes.values()),
        "errors": sum(outcome is Outcome.ERROR for outcome in outcomes.values()),
        "gate_rejects": sum(told.get(n) is GateAction.REJECT for n in outcomes),
        "defective": len(bad),
        "escapes": len(bad & passed),
        "false_rejects": len(outcomes.keys() - bad - passed),
        "parts_per_s": rate,
        "latency_ms": {
            **{f"p{q}": round(waits[len(waits) * q // 100], 2) for q in (50, 95, 99)},
            "max": round(waits[-1], 2),
        },
        "rss_mb": round(memory["rss"], 1),
        "pss_mb": round(memory["pss"], 1),
        "camera": "folder",
        "ledger": str(data),
    }
