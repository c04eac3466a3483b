"""What the blob store has written outlives a power cut, its folders' names too (I5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.hub import blobs


def test_every_folder_on_the_way_to_a_blob_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receipt is given for it: a folder that a power cut forgets would take it along."""
    durable: set[Path] = set()
    really = blobs.sync_folder

    def sync_folder(folder: Path) -> None:
        really(folder)
        durable.update(folder.iterdir())

    monkeypatch.setattr(blobs, "sync_folder", sync_folder)
    store = blobs.open_blobs(tmp_path / "blobs")
    for content in (b"one", b"another"):
        digest = store.put(content)
        path = next((tmp_path / "blobs").rglob(digest))
        on_the_way = [path, *list(path.parents)[: len(path.relative_to(tmp_path).parts) - 2]]
        assert len(on_the_way) == 4 and durable.issuperset(on_the_way)
