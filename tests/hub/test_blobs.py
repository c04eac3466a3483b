"""What the blob store has written outlives a power cut, its folders' names too (I5)."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("then", ["read", "write"])
def test_two_requests_may_put_the_same_pieces_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """A station that waited too long sends the last piece again, while the first request still
    works: the picture was said to be changed, and its sample let go."""
    one, two = (blobs.open_blobs(tmp_path) for _ in range(2))
    content = b"half" * 9 + b"rest" * 9
    digest = sha256(content).hexdigest()
    one.add("ST-1", digest, 72, 0, content[:36])
    really = getattr(two._place, then)

    def meanwhile(*given: Any) -> Any:
        monkeypatch.setattr(two._place, then, really)
        assert one.add("ST-1", digest, 72, 36, content[36:]) == 72
        return really(*given)

    monkeypatch.setattr(two._place, then, meanwhile)
    assert two.add("ST-1", digest, 72, 36, content[36:]) == 72
    assert two.get(digest) == content and two.received("ST-1", digest) == 0
