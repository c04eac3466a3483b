"""The station's key is made once, kept private, and never silently replaced."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.store.errors import StoreDamaged, StoreError
from inspector.store.keys import is_signed, key_id, public_key, signing_key


def test_the_first_start_makes_a_key_that_only_its_owner_reads(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    path = tmp_path / "keys" / "station.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signature = key.sign(b"message")
    public = public_key(tmp_path / "keys" / "station.pub")
    assert is_signed(public, signature, b"message")
    assert not is_signed(public, signature, b"massage")
    assert key_id(signing_key(tmp_path).public_key()) == key_id(public)


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from inspector.store.keys import *;"
        "print(key_id(signing_key(Path(sys.argv[1])).public_key()).hex())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert len({process.communicate(timeout=20)[0] for process in running}) == 1
    assert [process.returncode for process in running] == [0, 0, 0]


def test_a_key_that_others_may_read_is_refused_with_the_cure(tmp_path: Path) -> None:
    signing_key(tmp_path)
    path = tmp_path / "keys" / "station.key"
    path.chmod(0o644)
    with pytest.raises(StoreError, match="chmod 600"):
        signing_key(tmp_path)


def test_a_damaged_or_foreign_key_is_named(tmp_path: Path) -> None:
    signing_key(tmp_path)
    keys = tmp_path / "keys"
    (keys / "station.pub").write_bytes((_other(tmp_path) / "station.pub").read_bytes())
    with pytest.raises(StoreDamaged, match="another key"):
        signing_key(tmp_path)
    (keys / "station.key").write_text("no key")
    with pytest.raises(StoreDamaged, match="PEM"):
        signing_key(tmp_path)
    (keys / "station.pub").write_text("no key")
    with pytest.raises(StoreDamaged, match="PEM"):
        public_key(keys / "station.pub")


def _other(folder: Path) -> Path:
    signing_key(folder / "other")
    return folder / "other" / "keys"


def test_a_public_key_that_a_power_cut_left_empty_is_written_again(tmp_path: Path) -> None:
    """(I5) It was taken for another key's, and no line began until somebody deleted it."""
    key = signing_key(tmp_path)
    public = tmp_path / "keys" / "station.pub"
    public.write_bytes(b"")
    signing_key(tmp_path)
    assert public_key(public) == key.public_key()


def test_a_public_key_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    signing_key(tmp_path)
    public = tmp_path / "keys" / "station.pub"
    public.unlink()
    public.mkdir()
    with pytest.raises(StoreError, match=r"station\.pub: is no file that can be written"):
        signing_key(tmp_path)
