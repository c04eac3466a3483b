"""Reading: parts, images, batches, pages that do not move under the reader."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from inspector.part import Batch
from inspector.plant.parts import sold_as
from inspector.store import LineLedger
from inspector.store.query import History


def pages(client: Any, path: str) -> list[Any]:
    items, mark = [], "&" if "?" in path else "?"
    cursor = ""
    while True:
        reply = client.get(f"{path}{mark}limit=25{cursor}")
        assert reply.status == 200, reply.body
        items += reply.json["items"]
        if reply.json["next"] is None:
            return items
        assert len(reply.json["items"]) == 25
        cursor = f"&cursor={reply.json['next']}"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", range(180, 0, -1)),
        ("batch=A", range(120, 0, -1)),
        ("batch=B", range(180, 120, -1)),
        ("outcome=reject", [150, 100, 50]),
        ("outcome=reject&batch=A", [100, 50]),
        ("outcome=pass&batch=A", [n for n in range(120, 0, -1) if n % 50]),
        ("serial=S70", [70]),
        ("batch=never", []),
        ("serial=never", []),
    ],
)
def test_pages_hold_every_part_once_newest_first(auditor: Any, query: str, numbers: Any) -> None:
    found = pages(auditor, f"/parts?{query}" if query else "/parts")
    assert [part["sequence"] for part in found] == list(numbers)


def test_a_part_says_everything_that_made_it(plant: Any, auditor: Any) -> None:
    with History(plant.data) as history:
        part = history.by_sequence("plc-1", 50)
    assert part is not None
    said = auditor.get(f"/parts/{part.verdict.part_id}").json
    assert said["outcome"] == "reject" and said["batch"] == "A" and said["serial"] == "S50"
    assert said["recipe_digest"] == "5f" * 32 and len(said["model_digests"]) == 2
    assert said["findings"][0]["severity"] == "critical"
    assert said["gate"][0] == {
        "action": "reject", "reason": "cap: 0 caps found, exactly 1 expected",
        "acknowledged": True, "acknowledged_ms": 5.0,
    }  # fmt: skip
    assert said["judged_at"].endswith("Z")


def test_an_image_is_the_one_in_the_ledger(plant: Any, auditor: Any) -> None:
    part = auditor.get("/parts?outcome=reject&limit=1").json["items"][0]
    (image,) = part["images"]
    reply = auditor("GET", image["href"])
    assert reply.headers["content-type"] == "image/jpeg"
    assert hashlib.sha256(reply.body).hexdigest() == image["sha256"]
    assert reply.headers["etag"] == f'"{image["sha256"]}"'
    again = auditor("GET", image["href"], If_None_Match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_an_image_that_somebody_changed_is_not_served(plant: Any, auditor: Any) -> None:
    part = auditor.get("/parts?outcome=reject&limit=3").json["items"][-1]
    with History(plant.data) as history:
        found = history.by_sequence(part["stream"], part["sequence"])
    assert found is not None
    path = plant.data / found.images[0].path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")
    try:
        reply = auditor("GET", part["images"][0]["href"])
        assert reply.status == 500 and reply.json["type"].endswith("image-altered")
        path.unlink()
        assert auditor("GET", part["images"][0]["href"]).status == 410
    finally:
        path.write_bytes(content)


def test_an_answer_that_has_not_changed_is_not_sent_again(auditor: Any) -> None:
    first = auditor.get("/batches/A")
    same = auditor.get("/batches/A", If_None_Match=f'"x", {first.headers["etag"]}')
    assert (same.status, same.body) == (304, b"")
    assert auditor.get("/batches/A", If_None_Match='"x"').status == 200


def test_a_batch_in_figures(auditor: Any) -> None:
    batch = auditor.get("/batches/A").json
    assert batch["counts"] == {
        "passed": 118, "rejected": 2, "errors": 0, "not_inspected": 0, "others": 0,
            "reinspected": 0, "recovered": 0,
    }  # fmt: skip
    assert batch["defects"] == {"cap": 2}
    assert batch["texts"] == {"lot": "L2417A"}
    assert batch["ended_at"] and not batch["running"]


def test_batches_the_newest_first(auditor: Any) -> None:
    assert [batch["id"] for batch in auditor.get("/batches").json["items"]] == ["B", "A"]
    page = auditor.get("/batches?limit=1").json
    rest = auditor.get(f"/batches?limit=1&cursor={page['next']}").json
    assert [batch["id"] for batch in rest["items"]] == ["A"]
    assert rest["next"] is None


def test_an_item_and_a_lot_resolve_by_their_gs1_names(plant: Any, auditor: Any) -> None:
    item = auditor("GET", "/01/04012345123456/10/L2417A/21/S70")
    assert item.status == 200 and item.json["sequence"] == 70
    assert auditor("GET", "/01/04012345123456/21/S70").json["id"] == item.json["id"]
    assert auditor("GET", "/01/04012345123456/10/L2417A").json["id"] == "A"
    for gtin, rest in (
        ("04012345123456", "10/OTHER/21/S70"), ("04012345123463", "10/L2417A/21/S70"),
        ("04012345123456", "10/L2417A/21/S71"), ("04012345123456", "10/never"),
        ("04012345123456", "21/never"),
    ):  # fmt: skip
        assert auditor("GET", f"/01/{gtin}/{rest}").status == 404, rest
    assert plant.client("")("GET", "/01/04012345123456/21/S70").status == 401


@pytest.mark.parametrize(
    ("product", "gtins"), [("96385074", ["00000096385074"]), ("10002345", []), ("cap-28", [])]
)
def test_an_article_number_is_no_gtin(tmp_path: Path, product: str, gtins: list[str]) -> None:
    """One of eight digits was: its parts said a link that is another product's, or nobody's."""
    with LineLedger.open(tmp_path, station="ST-01") as line:
        line.add_batch(Batch("A", product, "bottle", {"lot": "L1"}), "begin", "mes")
    with History(tmp_path) as history:
        assert sold_as(history, "A") == (gtins, ["A", "L1"])


def test_a_lost_line_is_called_lost(auditor: Any) -> None:
    reply = auditor.get("/status")
    assert reply.status == 200
    assert reply.json["line"] == "lost" and reply.json["ready"] is False
    assert reply.json["heartbeat_age_ms"] is None and reply.json["batch"] is None
