"""One part proven with a public key and no database; whatever is changed is refused by name."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from inspector import cli
from inspector.part import new_part_id
from inspector.store import (
    ImageArchive,
    LineLedger,
    ProofRefused,
    StoreDamaged,
    StoreError,
    check_proof,
    prove_part,
    public_key,
)
from inspector.store.bench import sample_gate, sample_verdict


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 parts with serials SN1 … SN59 (SN7 twice), gates, and a picture of each reject."""
    data = tmp_path_factory.mktemp("store")
    with (
        LineLedger.open(data, station="s1", checkpoint_records=20) as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=0) as archive,
    ):
        for sequence in range(1, 61):
            serial = "SN7" if sequence == 60 else f"SN{sequence}"
            verdict = replace(sample_verdict(sequence), serial=serial)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
            archive.offer(verdict, {"side": np.full((16, 16), sequence, np.uint8)})
        for record in archive.close():
            ledger.add_image(record)
    return data


@pytest.fixture(scope="module")
def proven(store: Path) -> dict[str, Any]:
    return prove_part(store, serial="SN50")


def _check(document: Any, tmp: Path, store: Path) -> Any:
    path = tmp / "part.json"
    path.write_text(json.dumps(document))
    return check_proof(path, public_key(store / "keys/station.pub"))


def test_a_part_is_proven_with_its_gate_its_picture_and_its_words(
    store: Path, proven: dict[str, Any], tmp_path: Path
) -> None:
    found = _check(proven, tmp_path, store)
    assert (found.outcome, found.serial, found.station) == ("reject", "SN50", "s1")
    kinds = [entry["record"]["kind"] for entry in proven["records"]]
    assert kinds.count("verdict") == kinds.count("gate") == kinds.count("image") == 1
    verdict = next(e["record"] for e in proven["records"] if e["record"]["kind"] == "verdict")
    assert verdict["findings"][0]["reason"] == "0 caps found, exactly 1 expected"


def test_a_part_is_found_by_its_id_too(store: Path, proven: dict[str, Any]) -> None:
    from uuid import UUID

    from inspector.part import PartId

    assert prove_part(store, part=PartId(UUID(proven["part"]))) == proven


def test_what_cannot_be_proven_is_said(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no part with serial SN99"):
        prove_part(store, serial="SN99")
    with pytest.raises(StoreError, match="no part"):
        prove_part(store, part=new_part_id())
    with pytest.raises(StoreError, match="2 parts carried serial SN7; choose one by --part"):
        prove_part(store, serial="SN7")
    with LineLedger.open(tmp_path, station="s1") as ledger:
        ledger.add_verdict(replace(sample_verdict(1), serial="X"))
        ledger.commit()
        with pytest.raises(StoreError, match="signed yet"):
            prove_part(tmp_path, serial="X")


def test_a_ledger_that_was_changed_gives_no_proof(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "data")
    line = sqlite3.connect(tmp_path / "data/line.db")
    for spoiled in ("CAST(body || x'00' AS BLOB)", "body || x'00'", "NULL"):
        if spoiled != "NULL":
            line.execute(f"UPDATE record SET body = {spoiled} WHERE position = 60")
        else:
            line.execute("DELETE FROM record WHERE position = 60")
        line.commit()
        with pytest.raises(StoreDamaged, match="run: inspector verify"):
            prove_part(tmp_path / "data", serial="SN50")
    line.close()


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda d: d.update(part=str(new_part_id())), "part: "),
        (lambda d: d["checkpoint"].update(station="s2"), "checkpoint: its words"),
        (lambda d: d["checkpoint"].update(signature="00" * 64), "checkpoint: the signature"),
        (lambda d: d["records"][-1].update(position=10), "record 10: is not what checkpoint"),
        (lambda d: d["records"][-1]["path"].pop(), "is not what checkpoint"),
        (lambda d: d["records"][-1]["path"].append("00" * 32), "is not what checkpoint"),
        (lambda d: d["records"][-1]["record"].update(view="code"), "its words are not"),
        (lambda d: d["records"].append(d["records"][0]), "is there twice"),
        (lambda d: d["records"].pop(0), "needs record 0"),
        (lambda d: d.update(remark="released by QA"), "remark: nothing proves it"),
        (lambda d: d["records"][0].update(note="x"), "more than it should"),
        (lambda d: d.clear(), "no proof that this software reads"),
        (lambda d: d.update(records=7), "records: there are none"),
        (lambda d: d.update(records=["x"]), r"records\[0\]: is no record"),
        (lambda d: d["records"][0].update(path="00"), "is no list of hashes"),
    ],
)
def test_what_was_changed_is_refused_by_name(
    store: Path, proven: dict[str, Any], tmp_path: Path, change: Change, name: str
) -> None:
    document = json.loads(json.dumps(proven))
    change(document)
    with pytest.raises(ProofRefused, match=name):
        _check(document, tmp_path, store)


def test_a_true_record_of_another_part_is_not_read_as_this_ones(
    store: Path, proven: dict[str, Any], tmp_path: Path
) -> None:
    other = prove_part(store, serial="SN49")
    document = json.loads(json.dumps(proven))
    document["records"] += [e for e in other["records"] if e["record"]["kind"] == "gate"]
    with pytest.raises(ProofRefused, match="is not about part"):
        _check(document, tmp_path, store)


def test_another_stations_key_is_refused(
    store: Path, proven: dict[str, Any], tmp_path: Path
) -> None:
    LineLedger.open(tmp_path / "other", station="s2").close()
    with pytest.raises(ProofRefused, match="checkpoint: signed by key"):
        _check(proven, tmp_path, tmp_path / "other")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_byte_changed_is_refused_or_means_the_same(
    store: Path, proven: dict[str, Any], tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(json.dumps(proven).encode())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "part.json"
    path.write_bytes(content)
    try:
        check_proof(path, public_key(store / "keys/station.pub"))
    except ProofRefused:
        return
    assert json.loads(content) == proven


def test_the_commands_prove_and_check_without_the_ledger(store: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    out, key = tmp_path / "p.json", tmp_path / "station.pub"
    shutil.copy(store / "keys/station.pub", key)
    made = run(cli.app, ["proof", str(store), "--serial", "SN50", "--out", str(out)])
    assert made.exit_code == 0, made.output
    words = ["verify", "--proof", str(out), "--key", str(key)]
    checked = subprocess.run(
        [sys.executable, "-m", "inspector", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(checked.stdout)["serial"] == "SN50"
    out.write_text(out.read_text().replace("SN50", "SN51"))
    refused = run(cli.app, words)
    assert refused.exit_code == 1 and "its words are not those of its bytes" in refused.output


def test_a_proof_kept_elsewhere_shows_a_tail_that_was_cut(
    store: Path, proven: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "p.json").write_text(json.dumps(proven))
    words = ["verify", str(store), "--held", str(tmp_path / "p.json"), "--json"]
    whole = CliRunner().invoke(cli.app, words)
    assert whole.exit_code == 0, whole.output
    shutil.copytree(store, tmp_path / "cut")
    shutil.rmtree(tmp_path / "cut/checkpoints")
    with closing(sqlite3.connect(tmp_path / "cut/line.db")) as line, line:
        last = line.execute("SELECT max(number) FROM checkpoint").fetchone()[0]
        line.execute("DELETE FROM checkpoint WHERE number = ?", (last,))
        line.execute("DELETE FROM record WHERE position > 100")
    line.close()
    words[1] = str(tmp_path / "cut")
    cut = CliRunner().invoke(cli.app, words)
    assert cut.exit_code == 1 and "its tail was cut" in cut.output
    (tmp_path / "p.json").write_text("{}")
    refused = CliRunner().invoke(cli.app, words)
    assert refused.exit_code == 1 and "holds no checkpoint" in refused.output
