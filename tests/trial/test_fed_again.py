"""Parts that are fed again, through the cameras: one item, one code, counted once (I1, S13).

The film shows items with a GS1 Digital Link each. It has no end but begins again, so after one
round every item comes back: those with a serial link to their first inspection by themselves,
those without one are new items to anybody, until a person says that they are fed again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zxingcpp
from ruamel.yaml import YAML

from inspector.identity import Action, Principal, Role
from inspector.part import Mode, Outcome
from inspector.store import verify
from inspector.store.periods import reconcile
from inspector.store.query import History
from inspector.trial import Plan, Trial, running
from inspector.virtual.film import write_film
from inspector.virtual.filmset import FilmSet

pytestmark = pytest.mark.slow
OTTO = Principal("otto", frozenset({Role.OPERATOR}))
GTIN, OTHER = "09506000134352", "04012345123456"
ITEMS, BARE = 40, 5
"""Items of the film, which are more than stand between eye and gate; every so manieth has no
serial of its own."""
WRONG = 7
"""This item is another product's: it is rejected each time."""
SIZE = 160


def link(item: int) -> str:
    gtin = OTHER if item == WRONG else GTIN
    serial = "" if item % BARE == 0 else f"/21/S{item:04d}"
    return f"https://id.example.org/01/{gtin}/10/L1{serial}"


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[FilmSet, Path]:
    """The film, and the recipe that reads it."""
    folder = tmp_path_factory.mktemp("items")
    frames = []
    for item in range(1, ITEMS + 1):
        code = zxingcpp.create_barcode(link(item), zxingcpp.BarcodeFormat.QRCode)
        dots = np.clip(np.array(code.to_image(scale=3)), 20, 230)
        picture = np.full((SIZE, SIZE), 220, np.uint8)
        top, left = ((SIZE - side) // 2 for side in dots.shape)
        picture[top : top + dots.shape[0], left : left + dots.shape[1]] = dots
        frames.append(picture)
    write_film(folder / "code.film", frames, SIZE, SIZE, "Mono8")
    defect = [{"label": "wrong product", "severity": "critical"}]
    truth = [{"product": "", "defects": defect * (n == WRONG)} for n in range(1, ITEMS + 1)]
    (folder / "truth.json").write_text(json.dumps(truth))
    (folder / "truth.json").chmod(0o600)
    card = {"product": "items", "lot": "L1", "date": "", "seed": 0, "count": ITEMS}
    (folder / "film.json").write_text(json.dumps(card))
    recipe = folder / "items.yaml"
    step = {
        "name": "link", "kind": "code", "view": "code",
        "params": {"formats": ["QRCode"], "gs1": True, "expect": {"gtin": GTIN}},
    }  # fmt: skip
    with recipe.open("w") as file:
        YAML(typ="safe").dump({"name": "items", "views": ["code"], "tools": [step]}, file)
    return FilmSet.open(folder), recipe


@pytest.fixture(scope="module")
def fed(
    items: tuple[FilmSet, Path], plan: Callable[..., Plan], watch: Callable[[Trial], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Any:  # fmt: skip
    """What the ledger holds after two rounds as they come, and one that a person has announced."""
    films, recipe = items
    station = {
        "clock": "trusted", "stop.rejects_in_a_row": 0, "stop.confirmation_failed": False,
        "stop.light_fault": False, "plc.timeout_ms": 1000,
        "store.reserve_mb": 0, "store.stop_mb": 0,
    }  # fmt: skip
    meant = Plan(
        films, tmp_path_factory.mktemp("fed"), 20.0, recipes=(recipe,), views=("code",),
        station=station,
    )  # fmt: skip
    with running(meant) as trial:
        seen = watch(trial)
        seen.reach(2 * ITEMS + 5)
        answer = trial.tell(Action.SET_MODE, OTTO, mode="reinspect")
        assert answer.ok, answer
        seen.go_on(ITEMS + 5)
        batch = f"{films.product}-{films.lot}"
        assert trial.tell(Action.START_BATCH, OTTO, id="next").ok

        def closed() -> bool:
            with History(trial.data, bound_s=30.0) as history:
                found = reconcile(history, batch)
            return found is not None and bool(found.periods) and not found.periods[-1].open

        seen.until(closed, "the counts of the batch are not closed")
        seen.finish()
        with History(trial.data, bound_s=30.0) as history:
            parts = [p for p in history.last(100_000)[::-1] if p.verdict.batch == batch]
            return {
                "parts": parts,
                "by hand from": int(answer.body["from"]),
                "counts": history.counts(batch),
                "again": history.counts(batch, Mode.REINSPECT),
                "first": {n: history.by_serial(f"S{n:04d}") for n in range(1, ITEMS + 1)},
                "agreed": reconcile(history, batch),
                "verified": verify(trial.data),
            }


def test_a_serial_links_every_inspection_of_its_item_and_counts_once(fed: Any) -> None:
    for item, inspections in fed["first"].items():
        if item % BARE == 0:
            assert not inspections
            continue
        modes = [part.verdict.mode for part in inspections[::-1]]
        assert modes[:1] == [Mode.AUTO], item
        assert set(modes[1:]) <= {Mode.REINSPECT}, item
        outcomes = {part.verdict.outcome for part in inspections} - {Outcome.ERROR}
        assert outcomes <= {Outcome.REJECT if item == WRONG else Outcome.PASS}, item
    linked = [item for item, inspections in fed["first"].items() if len(inspections) >= 2]
    assert len(linked) > ITEMS // 2


def test_production_counts_each_serial_once_and_what_has_none_each_time(fed: Any) -> None:
    produced = [part.verdict for part in fed["parts"] if part.verdict.mode is Mode.AUTO]
    assert sum(fed["counts"].values()) == len(produced)
    assert Counter(fed["counts"]) == Counter(verdict.outcome for verdict in produced)
    serials = Counter(verdict.serial for verdict in produced if verdict.serial)
    assert set(serials.values()) == {1}
    bare = [v for v in produced if not v.serial and v.outcome is Outcome.PASS]
    assert len(bare) > ITEMS // BARE, "nobody can know that they came again"


def test_what_has_no_serial_comes_back_in_re_inspection_alone_and_is_counted_apart(
    fed: Any,
) -> None:
    after = [p.verdict for p in fed["parts"] if p.verdict.sequence >= fed["by hand from"]]
    assert {verdict.mode for verdict in after} == {Mode.REINSPECT}
    assert sum(not verdict.serial for verdict in after) >= ITEMS // BARE
    again = [p.verdict for p in fed["parts"] if p.verdict.mode is Mode.REINSPECT]
    assert Counter(fed["again"]) == Counter(verdict.outcome for verdict in again)


def test_the_counts_of_the_batch_agree_all_the_same(fed: Any) -> None:
    assert fed["verified"].ok, str(fed["verified"])
    assert fed["agreed"].differences == (), fed["agreed"]
