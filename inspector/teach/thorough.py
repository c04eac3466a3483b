"""What was taught goes in, what it becomes with a network of the product's own comes out.

The network is trained by ``training fit anomaly`` in a process of its own (this room must not know
torch), on three of four good pictures; the fourth ones, which neither it nor the members that judge
them knew, tell whether the members, the network or both together are better. Imported by ``teach``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inspector.part import Pixels
from inspector.store.files import write_whole
from inspector.teach.anomaly import Maps, Taught, figure_of, report_of, scores_of, with_limit
from inspector.teach.pictures import Progress, TeachError, told
from inspector.tools.anomaly import Map, Network, on_grid, worst
from inspector.tools.bank import Bank, Learnt
from inspector.tools.card import model_bytes, model_file
from inspector.tools.onnx import Shelf
from inspector.tools.texture import working_size

HELD_BACK = 4
"""Every so-manieth good picture is not trained with."""
NAME = "surface"
VERSION = "1"
_EPOCH = re.compile(r"epoch (\d+): ")
_TOTAL = re.compile(r"(\d+) epochs")
BETTER = 0.005
"""The members and the network together cost more time than the members: for less than this in
AUROC they are not worth it."""

UNPROVEN = 0.1
"""The same without real defects. The network learnt self-made ones of the very kind that then judge
it: on a rendered leather it had 0.94 on those and 0.46 on others, where the members had 0.84 and
0.83. So without real defects it never judges alone."""


def add_network(
    taught: Taught,
    good: Sequence[Pixels],
    bad: Sequence[Pixels],
    run: Path,
    shelf: Shelf,
    false_reject: float,
    progress: Progress,
    epochs: int | None = None,
) -> Taught:
    """``taught`` with a network of its own, where held-back pictures say that it is better so.

    ``run`` is the folder of trainings: one that was killed goes on where it was. Raises
    ``TeachError`` when the training cannot be started or fails.
    """
    held = [i for i in range(len(good)) if i % HELD_BACK == HELD_BACK - 1]
    shown = [p for i, p in enumerate(good) if i % HELD_BACK != HELD_BACK - 1]
    size = working_size(*taught.bank.size, taught.bank.most_px)
    folder = train(shown, size, run, progress, epochs)
    path, card = model_file(folder / "models", NAME)
    data = model_bytes(path, card, NAME)
    network = Network(Learnt(card, data, 0.0, 1.0), shelf)

    def odds(pictures: Sequence[Pixels]) -> list[Map]:
        return [
            network.odds(pixels, taught.bank.looked_at(pixels.shape[1], pixels.shape[0]))
            for pixels in told(pictures, "judging held-back parts", progress)
        ]

    own = [i for i, owner in enumerate(taught.owners) if owner in set(held)]
    raw = odds([good[i] for i in held]), odds([taught.spoilt[i] for i in own]), odds(bad)
    worsts = np.array([worst(m) for m in raw[0]])
    centre, spread = float(np.median(worsts)), max(float(worsts.std()), 0.05)
    learnt = Learnt(card, data, centre, spread)
    of_network = [[(m - centre) / spread for m in part] for part in raw]
    of_members = [
        [taught.maps[0][i] for i in held],
        [taught.maps[1][i] for i in own],
        taught.maps[2],
    ]
    of_both = [_sums(a, b) for a, b in zip(of_members, of_network, strict=True)]
    ways: dict[str, tuple[Bank, Maps]] = {
        "members": (taught.bank, of_members),
        "network": (replace(taught.bank, members=(), learnt=learnt), of_network),
        "both": (replace(taught.bank, learnt=learnt), of_both),
    }
    figures = {name: figure_of(scores_of(maps)) for name, (_, maps) in ways.items()}
    margin = BETTER if len(bad) else UNPROVEN
    able = [name for name in figures if len(bad) or name != "network"]
    best = max(able, key=lambda name: figures[name] - (0 if name == "members" else margin))
    bank, maps = ways[best]
    if best == "members":
        report = dict(taught.report)
    else:
        scores = scores_of(maps)
        bank = with_limit(bank, scores[0], false_reject)
        report = report_of(bank, scores, false_reject)
        report["compared"] = taught.report["compared"]
        taught = replace(taught, maps=maps, judged=tuple(held))
    report["thorough"] = {
        "kept": best,
        "auroc_held_back": {k: round(v, 4) for k, v in figures.items()},
        "held_back": {"good": len(held), "selfmade": len(own), "defects": len(bad)},
    }
    return replace(taught, bank=replace(bank, report=report), report=report)


def train(
    pictures: Sequence[Pixels],
    size: tuple[int, int],
    run: Path,
    progress: Progress,
    epochs: int | None = None,
) -> Path:
    """Trains on ``pictures``, or goes on with it; the folder of this training below ``run``."""
    for needed in ("torch", "training"):
        if importlib.util.find_spec(needed) is None:
            raise TeachError(
                f"--thorough needs `{needed}`, which is not installed here; run "
                "`pip install 'inspector[training]'`, or teach without it"
            )
    digest = hashlib.sha256(repr((size, epochs)).encode())
    for pixels in pictures:
        digest.update(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes())
    folder = run / digest.hexdigest()[:16]
    target = folder / "models" / NAME / VERSION
    if (target / "card.json").exists():
        return folder
    shown = folder / "pictures"
    shown.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(pictures):
        # whole, and anew each time: of a picture that a kill cut off half would be learned
        write_whole(shown / f"{number:05}.png", cv2.imencode(".png", pixels)[1].tobytes())
    command = [
        sys.executable, "-m", "training.cli", "fit", "anomaly", "--good", str(shown),
        "--run", str(folder), "--size", f"{size[0]}x{size[1]}",
        "--model", str(target / "model.onnx"),
    ]  # fmt: skip
    if epochs is not None:
        command += ["--epochs", str(epochs)]
    status, last = _run(command, progress)
    if status or not (target / "card.json").exists():
        raise TeachError(
            f"the training in {folder} ended with status {status}: {last}; "
            "the same command resumes it"
        )
    return folder


def _run(command: Sequence[str], progress: Progress) -> tuple[int, str]:
    """How a training ended, and what it said last."""
    what, total = "training on self-made defects", 0
    last: deque[str] = deque(maxlen=3)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                last.append(line.strip())
                if said := _TOTAL.search(line):
                    total = int(said[1])
                    progress(what, 0, total)
                elif said := _EPOCH.match(line):
                    progress(what, int(said[1]), total)
        except BaseException:
            child.terminate()
            raise
    return child.returncode, " ".join(last)


def _sums(some: Sequence[Map], others: Sequence[Map]) -> list[Map]:
    return [0.5 * (a + on_grid(b, a.shape)) for a, b in zip(some, others, strict=True)]
