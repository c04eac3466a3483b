"""A batch as one file: it proves itself, and whatever is changed in it is refused by name."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from inspector import cli
from inspector.part import Batch
from inspector.store import (
    DeskLedger,
    History,
    ImageArchive,
    LineLedger,
    PackageReport,
    ProofRefused,
    StoreError,
    check_package,
    pack_batch,
    public_key,
    signing_key,
    verify,
)
from inspector.store.bench import sample_gate, sample_verdict


def _batch(ledger: LineLedger, archive: ImageArchive, name: str, first: int, last: int) -> None:
    ledger.add_batch(Batch(name, "bottle", "bottle"), "begin", "user:7")
    for sequence in range(first, last + 1):
        verdict = replace(sample_verdict(sequence, batch=name), serial=f"SN{sequence}")
        ledger.add_verdict(verdict)
        ledger.add_gate(sample_gate(verdict))
        archive.offer(verdict, {"side": np.full((16, 16), sequence, np.uint8)})
    for record in archive.written():
        ledger.add_image(record)
    ledger.add_event("alarm", "line", code="test")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Batches A, B, A again, and C; a review of a part of A, and one of the batch B."""
    data = tmp_path_factory.mktemp("store")
    with (
        LineLedger.open(data, station="s1", checkpoint_records=50) as ledger,
        ImageArchive(data, reserve_mb=0, pass_image_every=0) as archive,
        DeskLedger.open(data) as desk,
    ):
        _batch(ledger, archive, "A", 1, 60)
        _batch(ledger, archive, "B", 61, 90)
        ledger.commit()
        desk.add("review", {"serial": "SN50", "agrees": True}, "user:8")
        desk.add("disposition", {"disposition": "hold", "runs": [["plc-1", 50, 70]]}, "mes")
        desk.add("disposition", {"disposition": "hold", "runs": [["plc-1", 61, 70]]}, "mes")
        desk.add("batch.held", {"batch": "B", "why": "smeared date"}, "user:8")
        _batch(ledger, archive, "A", 91, 110)
        _batch(ledger, archive, "C", 111, 120)
        for record in archive.close():
            ledger.add_image(record)
    return data


@pytest.fixture(scope="module")
def packed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "A.zip"
    pack_batch(store, "A", out, "user:9")
    return out


def _key(store: Path) -> Path:
    return store / "keys/station.pub"


def test_a_batch_leaves_whole_and_proves_itself(store: Path, packed: Path) -> None:
    report = check_package(packed, public_key(_key(store)))
    assert isinstance(report, PackageReport)
    assert (report.batch, report.station, report.made_by) == ("A", "s1", "user:9")
    assert (report.parts, report.images) == (80, 2)
    assert ["other batches" in note for note in report.notes] == [True]
    with zipfile.ZipFile(packed) as archive:
        records = [json.loads(line) for line in archive.read("records.jsonl").splitlines()]
        summary = json.loads(archive.read("summary.json"))
    words = [entry["record"] for entry in records]
    assert {w["batch"] for w in words if w["kind"] == "verdict"} == {"A"}
    assert [w["name"] for w in words if w["kind"] == "desk"] == ["review", "disposition"]
    assert summary["parts"] == {"auto": {"pass": 78, "reject": 2}}
    assert summary["defects"] == {"cap": 2}


def test_that_it_left_is_in_the_ledger(store: Path, packed: Path) -> None:
    with History(store) as history:
        left = history.desk("package.exported")[0]
    assert left.principal == "user:9"
    assert left.body["batch"] == "A"
    assert left.body["sha256"] == sha256(packed.read_bytes()).hexdigest()
    assert verify(store).ok


def test_a_batch_that_ran_alone_has_no_gap(store: Path, tmp_path: Path) -> None:
    packed = pack_batch(store, "C", tmp_path / "C.zip", "user:9")
    report = check_package(tmp_path / "C.zip", public_key(_key(store)))
    assert (packed.parts, report.parts, packed.unsigned, report.notes) == (10, 10, 0, ())


def test_without_a_key_from_elsewhere_it_says_so(packed: Path) -> None:
    assert "from elsewhere" in check_package(packed).notes[0]


def test_a_lost_picture_is_said_and_a_report_goes_along(store: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(store, data)
    next((data / "images").rglob("*.jpg")).unlink()
    pack_batch(data, "A", tmp_path / "A.zip", "user:9", extra={"report.pdf": b"%PDF-"})
    report = check_package(tmp_path / "A.zip", public_key(_key(store)))
    assert "1 recorded images are not kept" in " ".join(report.notes)
    assert "extra/report.pdf" in report.notes[-1]
    with pytest.raises(StoreError, match="a file of its own"):
        pack_batch(data, "A", tmp_path / "B.zip", "user:9", extra={"proof.json": b""})


def test_what_cannot_be_packed_is_said(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no part of a batch 'Z'"):
        pack_batch(store, "Z", tmp_path / "Z.zip", "user:9")
    with pytest.raises(StoreError, match="principal"):
        pack_batch(store, "A", tmp_path / "Z.zip", " ")
    with pytest.raises(StoreError, match="No such file"):
        pack_batch(store, "A", tmp_path / "none" / "Z.zip", "user:9")
    assert not list(tmp_path.iterdir())


Files = dict[str, bytes]


def _changed(packed: Path, out: Path, change: Callable[[Files], None]) -> Path:
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out


def _swap(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new, 1)

    return change


def _picture(files: Files) -> str:
    return next(name for name in files if name.startswith("images/"))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_swap("manifest.json", b"user:9", b"user:1"), "manifest.json: was not signed"),
        (_swap("records.jsonl", b'"reject"', b'"pass"'), "records.jsonl: is not the file"),
        (_swap("summary.json", b"78", b"79"), "summary.json: is not the file"),
        (lambda f: f.pop("proof.json"), "proof.json: is not"),
        (lambda f: f.pop("manifest.sig"), "manifest.sig: is not in the package"),
        (lambda f: f.pop(_picture(f)), "images/.*: is not"),
        (lambda f: f.update({_picture(f): b"x"}), "images/.*: is not the file"),
        (lambda f: f.update({"images/extra.jpg": b"x"}), "images/extra.jpg: is not in the mani"),
        (lambda f: f.update({"manifest.sig": b"zz"}), "manifest.sig: is no signature"),
    ],
)
def test_a_changed_file_is_refused_by_name(
    store: Path, packed: Path, tmp_path: Path, change: Callable[[Files], None], name: str
) -> None:
    forged = _changed(packed, tmp_path / "f.zip", change)
    with pytest.raises(ProofRefused, match=name):
        check_package(forged, public_key(_key(store)))


def _resigned(store: Path, packed: Path, out: Path, change: Callable[[Files], None]) -> Path:
    """What someone with the station's key, but without its ledger, could make."""

    def again(files: Files) -> None:
        change(files)
        manifest = json.loads(files["manifest.json"])
        manifest["files"] = {
            name: {"sha256": sha256(content).hexdigest(), "size": len(content)}
            for name, content in files.items()
            if not name.startswith("manifest.")
        }
        files["manifest.json"] = json.dumps(manifest).encode()
        files["manifest.sig"] = signing_key(store).sign(files["manifest.json"]).hex().encode()

    return _changed(packed, out, again)


def _records(edit: Callable[[list[dict[str, object]]], None]) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        entries = [json.loads(line) for line in files["records.jsonl"].splitlines()]
        edit(entries)
        files["records.jsonl"] = "\n".join(json.dumps(entry) for entry in entries).encode()

    return change


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (_records(lambda r: r.pop(40)), "its line records are not what checkpoint"),
        (_records(lambda r: r[40].update(body="iA==")), "its line records are not what checkpoint"),
        (_records(lambda r: r[40].update(position=100_000)), "its line records are not"),
        (_records(lambda r: r[-1].update(body="iA==")), "its desk records are not what checkpoint"),
        (_records(lambda r: r[40].update(record={"kind": "pass"})), "its words are not those"),
        (_records(lambda r: r.append(r[40])), "there twice"),
        (_records(lambda r: r[40].update(ledger="mes")), "line 41: is no record"),
        (_swap("summary.json", b"78", b"79"), "summary.json: is not what the records add up to"),
        (lambda f: f.pop(_picture(f)), "a record names it, and it is not here"),
        (lambda f: f.update({"images/x.jpg": b"x"}), "images/x.jpg: no record names it"),
        (_swap("checkpoint.json", b'"s1"', b'"s2"'), "checkpoint: its words"),
    ],
)
def test_not_even_the_key_makes_another_history(
    store: Path, packed: Path, tmp_path: Path, change: Callable[[Files], None], name: str
) -> None:
    forged = _resigned(store, packed, tmp_path / "f.zip", change)
    with pytest.raises(ProofRefused, match=name):
        check_package(forged, public_key(_key(store)))


def test_a_key_of_an_unknown_kind_is_refused(store: Path, packed: Path, tmp_path: Path) -> None:
    def change(files: Files) -> None:
        key = bytearray(files["station.pub"])
        key[35] ^= 1
        files["station.pub"] = bytes(key)

    with pytest.raises(ProofRefused, match=r"station\.pub: not a PEM public key"):
        check_package(_changed(packed, tmp_path / "f.zip", change), public_key(_key(store)))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_byte_of_any_file_in_it_is_refused(
    store: Path, packed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()

    def change(files: Files) -> None:
        name = data.draw(st.sampled_from(names))
        content = bytearray(files[name])
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        files[name] = bytes(content)

    forged = _changed(packed, tmp_path / "f.zip", change)
    try:
        check_package(forged, public_key(_key(store)))
    except ProofRefused:
        return
    # only letters of the signature's hex may be written otherwise
    with zipfile.ZipFile(forged) as a, zipfile.ZipFile(packed) as b:
        for name in names:
            same = a.read(name) == b.read(name)
            assert same or (name == "manifest.sig" and a.read(name).lower() == b.read(name))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_broken_archive_is_refused_and_never_a_crash(
    store: Path, packed: Path, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(packed.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "f.zip"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ProofRefused):
        check_package(path, public_key(_key(store)))


def test_another_stations_key_is_refused(packed: Path, tmp_path: Path) -> None:
    LineLedger.open(tmp_path / "other", station="s2").close()
    with pytest.raises(ProofRefused, match="is not the key that is given"):
        check_package(packed, public_key(tmp_path / "other/keys/station.pub"))
    (tmp_path / "no.zip").write_text("no archive")
    with pytest.raises(ProofRefused, match="no whole ZIP"):
        check_package(tmp_path / "no.zip")


def test_a_records_bytes_are_what_the_ledger_holds(store: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        entry = json.loads(archive.read("records.jsonl").splitlines()[-1])
    assert entry["ledger"] == "desk" and base64.b64decode(entry["body"])[:3] == b"\x87\x06\x01"


def test_the_commands_pack_and_check(store: Path, tmp_path: Path) -> None:
    run = CliRunner().invoke
    out = str(tmp_path / "B.zip")
    made = run(cli.app, ["package", str(store), "--batch", "B", "--out", out, "--json"])
    assert made.exit_code == 0 and json.loads(made.output)["parts"] == 30
    words = ["verify", "--package", out, "--key", str(_key(store)), "--json"]
    checked = run(cli.app, words)
    assert checked.exit_code == 0 and json.loads(checked.output)["batch"] == "B"
    (tmp_path / "B.zip").write_bytes((tmp_path / "B.zip").read_bytes()[:-40])
    refused = run(cli.app, words)
    assert refused.exit_code == 1 and "ZIP" in json.loads(refused.output)["first_bad"]
