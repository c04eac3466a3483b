"""What a recipe names by its digest is what lies there, or is refused by name (I7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from inspector.tools.kept import Kind, digest_of

NOTES = Kind("notes", ".txt", "a note")


def test_what_is_kept_is_named_by_its_content_and_comes_back(tmp_path: Path) -> None:
    digest = NOTES.keep(b"ten bar", tmp_path / "recipes")

    assert digest == digest_of(b"ten bar") == NOTES.keep(b"ten bar", tmp_path / "recipes")
    assert NOTES.read(digest, tmp_path / "recipes") == b"ten bar"
    assert [p.name for p in (tmp_path / "recipes/notes").iterdir()] == [f"{digest}.txt"]


def test_a_changed_or_missing_one_is_refused_with_its_path(tmp_path: Path) -> None:
    digest = NOTES.keep(b"ten bar", tmp_path)
    (tmp_path / "notes" / f"{digest}.txt").write_bytes(b"two bar")

    with pytest.raises(ValueError, match=rf"{digest}\.txt was changed: its digest is another"):
        NOTES.read(digest, tmp_path)
    with pytest.raises(ValueError, match=r"cannot be read .*copy it there"):
        NOTES.read("0" * 64, tmp_path)


@pytest.mark.parametrize("value", ["", "g" * 64, "ab", None, 7, ["a"]])
def test_what_is_no_digest_is_no_name(value: object) -> None:
    with pytest.raises(ValueError, match="a note is named by its SHA-256, 64 hex digits"):
        NOTES.named(value)


def test_a_name_may_be_written_in_capitals() -> None:
    assert NOTES.named("AB" * 32) == "ab" * 32
