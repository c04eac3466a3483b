"""A release runs here only if everything about it holds on this machine (I7): two signatures of
two people this station knows, every byte, and the verdicts of its parity set."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from release.centre import DAY, ROOT, Centre, examples, picture

from inspector.identity import Forbidden, Principal, Role
from inspector.part import Outcome
from inspector.recipe import load
from inspector.release import ReleaseRefused, install, installed, load_release, remove
from inspector.release.bundle import SIGNERS, add, canonical, unpack
from inspector.release.channel import Pointer, keep
from inspector.release.trust import NotTrusted, trust
from inspector.store import DeskLedger, History, LineLedger, StoreError
from training.release import Example, NotMade, approve, inspect, make_key, put

Change = Callable[[Path], None]


def files_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def desk(data: Path) -> list[dict[str, Any]]:
    LineLedger.open(data, station="T").close()
    with History(data) as history:
        return [record.body for record in history.desk("release")]


def test_a_release_is_proven_kept_and_judges(centre: Centre, data: Path) -> None:
    path = centre.made()

    done = install(path, data, "erika")

    judged = done.recipe.judge({"side": picture("G00001"), "code": picture("G00001")},
                               examples()[0].batch, DAY)  # fmt: skip
    assert judged.outcome is Outcome.PASS
    assert done.parity.parts == 6
    assert [i.title for i in installed(data)] == ["coded/2"]
    again = load_release(data, "coded/2")
    assert again.installed.digest == done.installed.digest == inspect(path).digest
    record = desk(data)[0]
    assert (record["do"], record["builder"], record["approver"]) == ("installed", "ben", "anna")
    install(path, data, "erika")  # the same again is no error


@pytest.mark.parametrize(
    "name", ["models/m/1/model.onnx", "models/m/1/card.json", "recipe/coded.yaml", "card.json",
             "parity/parts.json", "parity/000-side.png"],
)  # fmt: skip
def test_a_changed_file_is_refused_by_name(centre: Centre, data: Path, name: str) -> None:
    path = centre.made()
    content = bytearray(files_of(path)[name])
    content[len(content) // 2] ^= 1
    add(path, {name: bytes(content)})

    with pytest.raises(ReleaseRefused, match=f"{name} is not the file that was signed"):
        install(path, data, "erika")

    assert installed(data) == []
    assert not list((data / "releases").glob(".incoming-*"))
    assert desk(data)[0]["do"] == "refused"


def test_the_administrator_leaves_nothing_in_another_accounts_station(
    centre: Centre, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the desk refused to record was kept, and judged in shadow; and of the keys' folder the
    station could read nothing more."""
    LineLedger.open(data, station="T").close()
    os.chown(data / "line.db", 1001 if os.geteuid() == 0 else -1, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StoreError, match="another account's; run this as that one"):
        install(centre.made(), data, "erika")
    shutil.rmtree(data / "keys")
    with pytest.raises(StoreError, match="another account's; run this as that one"):
        trust(data, centre.folder / "eve.pub", "builder", "eve", ROOT)
    assert not (data / "keys").exists() and not (data / "releases").exists()


def test_a_changed_manifest_is_refused_by_name(centre: Centre, data: Path) -> None:
    path = centre.made()
    manifest = json.loads(files_of(path)["manifest.json"])
    manifest["number"] = 99
    add(path, {"manifest.json": canonical(manifest)})

    with pytest.raises(ReleaseRefused, match=r"manifest\.json is not the one that the builder"):
        install(path, data, "erika")


def test_a_file_on_the_disk_that_changed_since_does_not_run(centre: Centre, data: Path) -> None:
    done = install(centre.made(), data, "erika")
    model = done.installed.folder / "models/m/1/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")

    with pytest.raises(ReleaseRefused, match=r"models/m/1/model\.onnx"):
        load_release(data, done.installed.digest)


def test_a_file_that_nobody_signed_is_refused(centre: Centre, data: Path) -> None:
    path = centre.made()
    add(path, {"models/n/1/model.onnx": b"x"})

    with pytest.raises(ReleaseRefused, match=r"models/n/1/model\.onnx is not in its manifest"):
        install(path, data, "erika")


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", ".hidden"])
def test_nothing_is_written_outside_the_release(
    centre: Centre, data: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "evil.release"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))

    with pytest.raises(ReleaseRefused, match="does not belong"):
        install(path, data, "erika")


def test_a_large_release_is_never_whole_in_memory(tmp_path: Path) -> None:
    """Neither when it comes nor when it is unpacked: a small station has less."""
    path, size = tmp_path / "large.release", 4 << 20
    pieces = (bytes(size) for _ in range(4))
    pointer = Pointer("0" * 64, "large/1", 1)
    tracemalloc.start()
    try:
        keep(pieces, pointer, tmp_path / "in", lambda: None)
        with tarfile.open(path, "w") as tar:
            for number in range(4):
                entry = tarfile.TarInfo(f"models/m/{number}/model.onnx")
                entry.size = size
                tar.addfile(entry, io.BytesIO(bytes(size)))
        tracemalloc.reset_peak()
        with pytest.raises(ReleaseRefused, match=r"manifest\.json: No such file"):
            unpack(path, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"no tar at all", bytes(2048)])
def test_what_is_no_release_is_refused_in_words(data: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.release"
    path.write_bytes(content)

    with pytest.raises(ReleaseRefused, match="fetch it again"):
        install(path, data, "erika")


def test_four_eyes_are_needed(centre: Centre, data: Path) -> None:
    path = centre.unsigned(7)
    with pytest.raises(ReleaseRefused, match="no signature of its approver"):
        install(path, data, "erika")
    with pytest.raises(NotMade, match="another person approves"):
        approve(path, "ben", centre.keys["anna"])
    with pytest.raises(NotMade, match="a key of their own"):
        approve(path, "anna", centre.keys["ben"])
    with pytest.raises(NotMade, match="not signed by its approver"):
        put(path, "stable", data / "channel")


def test_a_signature_copied_to_another_place_does_not_count(centre: Centre, data: Path) -> None:
    path = centre.unsigned(8)
    add(path, {"signatures/approver.json": files_of(path)["signatures/builder.json"]})

    with pytest.raises(ReleaseRefused, match="is no signature of a approver"):
        install(path, data, "erika")


def test_a_signature_of_another_release_does_not_count(centre: Centre, data: Path) -> None:
    signed, path = files_of(centre.made(4)), centre.unsigned(5)
    add(path, {"signatures/approver.json": signed["signatures/approver.json"]})

    with pytest.raises(ReleaseRefused, match=r"manifest\.json is not the one that the approver"):
        install(path, data, "erika")


def test_a_forged_signature_is_refused_by_name(centre: Centre, data: Path) -> None:
    path = centre.made()
    signed = json.loads(files_of(path)["signatures/approver.json"])
    signed["signature"] = base64.b64encode(bytes(64)).decode()
    add(path, {"signatures/approver.json": json.dumps(signed).encode()})

    with pytest.raises(ReleaseRefused, match=r"signatures/approver\.json does not hold"):
        install(path, data, "erika")


def test_a_stranger_approves_nothing(centre: Centre, data: Path) -> None:
    path = centre.unsigned(9)
    approve(path, "eve", centre.keys["eve"])

    with pytest.raises(ReleaseRefused, match="does not know the key of approver 'eve'"):
        install(path, data, "erika")


def test_a_stranger_in_an_approvers_name_approves_nothing(centre: Centre, data: Path) -> None:
    path = centre.unsigned(9)
    approve(path, "anna", centre.keys["eve"])

    with pytest.raises(ReleaseRefused, match="does not know the key of approver 'anna'"):
        install(path, data, "erika")


def test_keys_are_let_in_by_whoever_configures_and_for_one_role(centre: Centre, data: Path) -> None:
    pem = centre.folder / "ben.pub"
    with pytest.raises(NotTrusted, match="four eyes need two keys"):
        trust(data, pem, SIGNERS[1], "ben2", ROOT)
    with pytest.raises(Forbidden):
        trust(data, pem, "builder", "ben", Principal("otto", frozenset({Role.OPERATOR})))


def test_a_key_that_a_full_disk_cut_short_is_not_there(
    centre: Centre, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of one made every release refused, those in service too, until somebody deleted it."""
    written = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        written(path, content[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left"):
        trust(data, centre.folder / "eve.pub", "builder", "eve", ROOT)
    monkeypatch.undo()
    assert install(centre.made(), data, "erika").installed.title == "coded/2"


def test_other_verdicts_than_at_the_centre_are_refused(centre: Centre, data: Path) -> None:
    """As on a machine whose kernels compute otherwise: the answers signed are not those here."""
    path = centre.unsigned(11)
    files = files_of(path)
    parts = json.loads(files["parity/parts.json"])
    parts[3]["outcome"], parts[3]["findings"] = "reject", []
    changed = json.dumps(parts).encode()
    _sign_anew(centre, path, {"parity/parts.json": changed})

    with pytest.raises(ReleaseRefused, match=r"judges part G3 .* otherwise here: pass instead"):
        install(path, data, "erika")


def test_what_a_release_needs_is_said_when_it_is_made(centre: Centre) -> None:
    with pytest.raises(NotMade, match="no example could be judged"):
        centre.unsigned(12, parts=[Example("x", {}, examples()[0].batch, DAY)])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"recipe_digest": "0" * 64}, "is of coded@1 as it was, and not of coded@13 as it is"),
        ({"models": ["0" * 64]}, "of coded@13 is of other models"),
        ({"recipe_digest": None}, "is no report.json"),
    ],
)
def test_figures_of_something_else_go_into_no_release(
    centre: Centre, other: dict[str, Any], why: str
) -> None:
    recipe = load(centre.recipe(13), centre.models)
    report = {
        "recipe": "coded@1",
        "recipe_digest": recipe.digest,
        "models": list(recipe.model_digests),
    }
    centre.unsigned(13, evaluation=report)

    report = {k: v for k, v in (report | other).items() if v is not None}
    with pytest.raises(NotMade, match=why):
        centre.unsigned(13, evaluation=report)


def test_a_keys_public_half_takes_no_other_keys_place(tmp_path: Path) -> None:
    with pytest.raises(NotMade, match=r"does not end in \.pub"):
        make_key(tmp_path / "anna.pub")
    make_key(tmp_path / "anna.key")
    before = (tmp_path / "anna.pub").read_bytes()
    with pytest.raises(NotMade, match=r"anna\.pub is there already"):
        make_key(tmp_path / "anna.pem")
    assert (tmp_path / "anna.pub").read_bytes() == before


def test_only_what_nobody_needs_is_removed(centre: Centre, data: Path) -> None:
    kept = install(centre.made(2), data, "erika")
    install(centre.made(3), data, "erika")

    assert remove(data, {kept.installed.digest}, "erika") == ["coded/3"]
    assert [i.title for i in installed(data)] == ["coded/2"]


def test_what_was_damaged_on_the_disk_is_whole_again_once_it_is_fetched_again(
    centre: Centre, data: Path
) -> None:
    """As its refusal says. The damaged folder was taken for the release: it was said to be
    installed, never ran, and was fetched again for ever."""
    path = centre.made()
    first = install(path, data, "erika").installed
    (first.folder / "manifest.json").write_text("")
    with pytest.raises(ReleaseRefused, match="fetch it again"):
        load_release(data, first.digest)
    install(path, data, "erika")
    assert load_release(data, first.digest).installed.title == first.title
    assert [folder.name for folder in (data / "releases").iterdir()] == [first.folder.name]


def test_a_killed_installation_leaves_nothing_in_the_way(centre: Centre, data: Path) -> None:
    (data / "releases" / ".incoming-1").mkdir(parents=True)
    install(centre.made(), data, "erika")
    assert len(installed(data)) == 1


def test_the_approval_is_on_the_desk_under_the_administrators_name(
    centre: Centre, data: Path
) -> None:
    LineLedger.open(data, station="T").close()
    with History(data) as history:
        records = history.desk("release_key")
    assert {(r.principal, r.body["as"], r.body["name"]) for r in records} == {
        ("root", "builder", "ben"), ("root", "approver", "anna"),
    }  # fmt: skip
    with DeskLedger.open(data) as ledger:
        assert ledger.add("note", {}, "root") >= 2


def _sign_anew(centre: Centre, path: Path, changed: dict[str, bytes]) -> None:
    """Both people sign what they did not look at."""
    import hashlib
    import tempfile

    from inspector.release.bundle import MANIFEST, sign

    with tempfile.TemporaryDirectory() as folder:
        manifest = unpack(path, Path(folder)).manifest.model_dump(mode="json", by_alias=True)
    for entry in manifest["files"]:
        if entry["path"] in changed:
            content = changed[entry["path"]]
            entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    body = canonical(manifest)
    digest = hashlib.sha256(body).hexdigest()
    signed = {
        f"signatures/{role}.json": sign(digest, role, who, centre.keys[who], "now")
        for role, who in zip(SIGNERS, ("ben", "anna"), strict=True)
    }
    add(path, {MANIFEST: body, **changed, **signed})
