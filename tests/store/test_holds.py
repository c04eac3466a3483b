"""What was decided about parts, as it stands: an index that can be thrown away."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.part import Disposition
from inspector.store import DeskLedger
from inspector.store.holds import KIND, Holds, Run

HOLD, SCRAP, RELEASE, REWORK = (
    Disposition.HOLD,
    Disposition.SCRAP,
    Disposition.RELEASE,
    Disposition.REWORK,
)


def decide(data: Path, disposition: str, *runs: tuple[str, int, int], batch: str = "") -> int:
    body: dict[str, Any] = {"disposition": disposition, "reason": "r", "requester": "q"}
    body |= {"batch": batch} if batch else {"runs": [list(run) for run in runs]}
    with DeskLedger.open(data) as desk:
        return desk.add(KIND, body, "mes")


def test_the_newest_decision_about_a_part_holds(tmp_path: Path) -> None:
    with Holds(tmp_path) as holds:
        assert holds.of_part("s", 5) is None
        decide(tmp_path, HOLD, ("s", 1, 10))
        position = decide(tmp_path, RELEASE, ("s", 4, 6))
        found = [holds.of_part("s", n) for n in range(12)]
        states = [f.disposition if f else None for f in found]
        assert states == [None, *[HOLD] * 3, *[RELEASE] * 3, *[HOLD] * 4, None]
        assert found[5] and found[5].position == position
        assert holds.of_part("other", 5) is None


def test_scrap_is_final(tmp_path: Path) -> None:
    decide(tmp_path, SCRAP, ("s", 5, 6))
    decide(tmp_path, HOLD, ("s", 1, 10))
    decide(tmp_path, RELEASE, ("s", 6, 7))
    with Holds(tmp_path) as holds:
        states = [holds.of_part("s", n).disposition for n in (4, 5, 6, 7, 8)]  # type: ignore[union-attr]
        assert states == [HOLD, SCRAP, SCRAP, RELEASE, HOLD]
        assert holds.scrapped(Run("s", 1, 5)) and not holds.scrapped(Run("s", 7, 9))


def test_the_release_of_a_batch_releases_no_part_held_for_itself(tmp_path: Path) -> None:
    decide(tmp_path, HOLD, ("s", 1, 1))
    decide(tmp_path, HOLD, batch="B")
    with Holds(tmp_path) as holds:
        assert holds.of_part("s", 1, "B").run == Run("s", 1, 1)  # type: ignore[union-attr]
        assert holds.of_part("s", 2, "B").batch == "B"  # type: ignore[union-attr]
        decide(tmp_path, RELEASE, batch="B")
        assert holds.of_part("s", 1, "B").disposition is HOLD  # type: ignore[union-attr]
        assert holds.of_part("s", 2, "B").disposition is RELEASE  # type: ignore[union-attr]


def test_a_released_part_of_a_batch_on_hold_is_on_hold(tmp_path: Path) -> None:
    decide(tmp_path, RELEASE, ("s", 1, 1))
    decide(tmp_path, HOLD, batch="B")
    with Holds(tmp_path) as holds:
        assert holds.of_part("s", 1, "B").disposition is HOLD  # type: ignore[union-attr]


def test_the_index_is_made_again_when_it_or_the_desk_is_another(tmp_path: Path) -> None:
    decide(tmp_path, HOLD, ("s", 1, 9))
    with Holds(tmp_path) as holds:
        before = holds.standing()
    for file in tmp_path.glob("holds.db*"):
        file.unlink()
    with Holds(tmp_path) as holds:
        assert holds.standing() == before
    for file in tmp_path.glob("desk.db*"):
        file.unlink()
    decide(tmp_path, HOLD, ("t", 3, 4))
    decide(tmp_path, "nonsense", ("t", 3, 4))
    decide(tmp_path, HOLD, ("t", 4, 3))
    with Holds(tmp_path) as holds:
        assert [s.run for s in holds.standing()] == [Run("t", 3, 4)]
        assert holds.skipped == 2


@pytest.mark.parametrize("spoiled", ["DELETE FROM upto", "UPDATE upto SET position = NULL"])
def test_a_spoiled_index_is_made_again(tmp_path: Path, spoiled: str) -> None:
    decide(tmp_path, HOLD, ("s", 1, 9))
    with Holds(tmp_path) as holds:
        before = holds.standing()
    with sqlite3.connect(tmp_path / "holds.db") as index:
        index.execute(spoiled)
    index.close()
    with Holds(tmp_path) as holds:
        assert holds.standing() == before


def test_two_processes_may_share_it(tmp_path: Path) -> None:
    with Holds(tmp_path) as one, Holds(tmp_path) as other:
        decide(tmp_path, HOLD, ("s", 1, 2))
        assert one.standing() == other.standing() != ()
        decide(tmp_path, RELEASE, ("s", 1, 2))
        assert other.standing() == one.standing() == ()


def test_pages_of_holds_hold_each_once(tmp_path: Path) -> None:
    for n in range(1, 8):
        decide(tmp_path, HOLD, ("s", 10 * n, 10 * n + 1), ("t", n, n))
    decide(tmp_path, HOLD, batch="B")
    with Holds(tmp_path) as holds:
        found, before = [], 1 << 62
        while page := holds.standing(before=before, limit=3):
            found += page
            before = page[-1].position
        assert len(found) == len(set(found)) == 15
        assert found[0].batch == "B"


Steps = st.lists(
    st.tuples(st.sampled_from([HOLD, SCRAP, RELEASE, REWORK]), st.integers(0, 20),
              st.integers(0, 20)),
    max_size=25,
)  # fmt: skip


@settings(max_examples=20, deadline=None)
@given(Steps)
def test_runs_say_what_a_table_of_parts_would(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Disposition, int, int]]
) -> None:
    data = tmp_path_factory.mktemp("holds")
    table: dict[int, Disposition] = {}
    with DeskLedger.open(data) as desk:
        for disposition, a, b in steps:
            runs = [["s", min(a, b), max(a, b)]]
            desk.add(KIND, {"disposition": disposition, "runs": runs}, "mes")
            for n in range(min(a, b), max(a, b) + 1):
                if table.get(n) is not SCRAP:
                    table[n] = disposition
    with Holds(data) as holds:
        for n in range(21):
            found = holds.of_part("s", n)
            assert (found.disposition if found else None) == table.get(n)
