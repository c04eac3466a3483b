"""A second station reads what is packed into which case; the first one knows it (S11, S13, S20)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from inspector.identity import Role
from inspector.part import INSIDE, Finding, Outcome, Verdict
from inspector.plant.outbox import Outbox
from inspector.store import LineLedger
from inspector.store.bench import sample_verdict

CASE, OTHER = "340123450000000017", "340123450000000024"


def case(number: int, sscc: str, *serials: str, outcome: Outcome = Outcome.PASS) -> Verdict:
    """What a packing station's cameras read on one case."""
    found = tuple(Finding("codes", "code", INSIDE, ok=True, text=serial) for serial in serials)
    return replace(
        sample_verdict(number), findings=found, serial=sscc, outcome=outcome,
        reasons=() if outcome is Outcome.PASS else ("torn",),
    )  # fmt: skip


@pytest.fixture
def stations(tmp_path: Path, full_plant: Any) -> tuple[Any, Any]:
    """The station that made the parts S10, S20 … and one that packs."""
    made = full_plant(tmp_path / "made")
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "made.key").write_text(made.key("packing", Role.MACHINE) + "\n")
    told = f"{{name: made, url: '{made.url}', key: made.key, serials: 'S*'}}"
    return made, full_plant(tmp_path / "packs", f", packs: [{told}]")


def follows(packs: Any) -> None:
    """Until it listens: what was packed before it came is not told."""
    outbox = Outbox(packs.data)
    until(lambda: outbox.place("packing"))
    outbox.close()


def test_what_the_second_station_read_is_traced_at_the_first(stations: tuple[Any, Any]) -> None:
    made, packs = stations
    follows(packs)
    with LineLedger.open(packs.data, station="PACK-01") as line:
        line.add_verdict(case(181, CASE, "S10", "S20", "S20", "elsewhere"))
        line.add_verdict(case(182, OTHER, "S30", outcome=Outcome.REJECT))
        line.add_verdict(case(183, OTHER, "S40"))
    mes = made.client(made.key("mes", Role.MACHINE))

    def traced(unit: str) -> Any:
        reply = mes.get(f"/trace?unit={unit}")
        return reply.json if reply.status == 200 else None

    found = until(lambda: traced(CASE))
    numbers = [n for run in found["runs"] for n in range(run["first"], run["last"] + 1)]
    assert numbers == [10, 20]
    assert [run["first"] for run in until(lambda: traced(OTHER))["runs"]] == [40]
    backwards = mes.get("/trace?serial=S20").json
    assert CASE in str(backwards["units"])
    assert mes.get("/trace?serial=S30").json["units"] == []


@pytest.mark.slow
def test_a_first_station_that_is_away_is_told_when_it_is_back(stations: tuple[Any, Any]) -> None:
    made, packs = stations
    follows(packs)
    made.kill()
    with LineLedger.open(packs.data, station="PACK-01") as line:
        line.add_verdict(case(181, CASE, "S10"))
    mine = packs.client(packs.key("qa", Role.QA))
    until(lambda: mine.get("/webhooks").json["items"][0]["error"])
    address = made.file.read_text()
    port = made.url.rstrip("/").rpartition(":")[2]
    made.file.write_text(address.replace("plant: {port: 0", f"plant: {{port: {port}"))
    made.start()
    mes = made.client(made.key("mes", Role.MACHINE))
    until(lambda: mes.get(f"/trace?unit={CASE}").status == 200)
    until(lambda: mine.get("/webhooks").json["items"][0]["waiting"] == 0)
