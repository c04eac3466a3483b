"""What the line shows, over real sockets: whole messages, newest first, nothing for nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from inspector.bus import run_dir
from inspector.display import (
    PARTS,
    Counts,
    Display,
    DisplayReader,
    Health,
    Message,
    State,
    Status,
    Topic,
    pack,
    reduced,
    unpack,
)
from inspector.part import Finding, Mode, Outcome, Times, Verdict, new_part_id

STATUS = Status(
    station="s1",
    ready=True,
    running=True,
    mode=Mode.AUTO,
    batch="L1",
    product="soap",
    recipe="r@1",
    health=(Health("side", "camera", State.OK),),
)


def verdict(sequence: int, outcome: Outcome = Outcome.PASS, score: float = 0.9) -> Verdict:
    bad = outcome is Outcome.REJECT
    cap = Finding("look", "detect", "cap", not bad, score, (1.0, 2.0, 30.0, 40.0), "side")
    return Verdict(
        part_id=new_part_id(),
        station="s1",
        stream="a",
        sequence=sequence,
        outcome=outcome,
        mode=Mode.AUTO,
        batch="L1",
        times=Times(1_000_000, 2_000_000, 21_000_000, 5_000_000, "boot", True),
        recipe="r@1",
        recipe_digest="",
        model_digests=(),
        software="0",
        reasons=("cap",) if bad else (),
        findings=(cap,),
    )


def grey(level: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 3.0
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_dir(tmp_path)


def test_picture_overlay_and_verdict_come_in_one_message(run: Path) -> None:
    display, reader = Display(run), DisplayReader(run)
    until(lambda: display.wants(Outcome.REJECT))
    frames = {"side": grey(200), "code": grey(50, 24, 32)}
    assert display.show(verdict(7, Outcome.REJECT), frames, Counts(7, 6, 1), "soap")
    message = reader.receive(2.0)
    assert message is not None
    assert (message.topic, message.part) == (Topic.REJECT, 7)
    body = message.body
    assert (body["outcome"], body["reasons"], body["judged_ms"]) == ("reject", ["cap"], 20.0)
    assert body["counts"]["rejected"] == 1
    assert body["findings"][0]["box"] == [1.0, 2.0, 30.0, 40.0]
    assert [(v["name"], v["width"], v["height"]) for v in body["views"]] == [
        ("side", 64, 48),
        ("code", 32, 24),
    ]
    decoded = [
        cv2.imdecode(np.frombuffer(p, np.uint8), cv2.IMREAD_GRAYSCALE) for p in message.pictures
    ]
    assert [round(float(picture.mean())) for picture in decoded] == [200, 50]
    display.close()
    reader.close()


def test_nothing_is_encoded_for_nobody(run: Path) -> None:
    display = Display(run)
    assert not display.show(verdict(1), {"side": grey(1)}, Counts())
    assert not display.beat(STATUS)
    reader = DisplayReader(run, Topic.REJECT)
    until(lambda: display.wants(Outcome.REJECT))
    assert not display.wants(Outcome.PASS)
    reader.close()
    until(lambda: not display.wants(Outcome.REJECT))
    display.close()


def test_a_slow_reader_gets_the_newest(run: Path) -> None:
    display, reader = Display(run, pass_interval_ms=0), DisplayReader(run, PARTS)
    until(lambda: display.wants(Outcome.PASS))
    for sequence in range(1, 101):
        assert display.show(verdict(sequence), {"side": grey(9)}, Counts())
        time.sleep(0.001)
    seen = [0]
    until(lambda: (m := reader.receive()) is not None and not seen.append(m.part) and m.part >= 95)
    assert len(seen) < 50
    display.close()
    reader.close()


def test_passes_are_thinned_out_and_rejects_do_not_wait_for_them(run: Path) -> None:
    now = [0]
    display, reader = Display(run, clock=lambda: now[0]), DisplayReader(run)
    until(lambda: display.wants(Outcome.PASS))
    assert display.show(verdict(1), {"side": grey(9)}, Counts())
    now[0] += 60_000_000
    assert not display.show(verdict(2), {"side": grey(9)}, Counts())
    assert display.show(verdict(3, Outcome.ERROR), {}, Counts())
    now[0] += 40_000_000
    assert display.show(verdict(4), {"side": grey(9)}, Counts())
    display.close()
    reader.close()


def test_large_pictures_are_reduced_and_keep_the_size_their_boxes_are_in(run: Path) -> None:
    display, reader = Display(run, max_side=320), DisplayReader(run)
    until(lambda: display.wants(Outcome.PASS))
    display.show(verdict(1), {"side": grey(9, 1024, 1280)}, Counts())
    message = reader.receive(2.0)
    assert message is not None
    assert (message.body["views"][0]["width"], message.body["views"][0]["height"]) == (1280, 1024)
    shape = cv2.imdecode(np.frombuffer(message.pictures[0], np.uint8), cv2.IMREAD_COLOR).shape
    assert shape == (256, 320, 3)
    display.close()
    reader.close()


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1024, 1280), (768, 960)), ((2048, 2448), (803, 960)), ((1080, 1920), (540, 960)),
        ((3000, 33), (960, 11)), ((33, 3001), (11, 960)), ((1, 5000), (1, 960)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_reduced_picture_shows_what_an_exact_reduction_shows(
    size: tuple[int, int], wanted: tuple[int, int], channels: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (*(max(1, side // 8) for side in size), *channels), np.uint8)
    picture = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)
    small = reduced(np.asarray(picture, np.uint8))
    assert small.shape == (*wanted, *channels)
    exact = cv2.resize(picture, wanted[::-1], interpolation=cv2.INTER_AREA)
    if min(wanted) > 100:  # where there is a rim of a half pixel, it is all there is
        assert np.abs(small.astype(int) - exact.astype(int)).mean() < 3


def test_a_picture_that_fits_is_shown_as_it_is() -> None:
    picture = grey(9, 960, 720)
    assert reduced(picture) is picture


def test_a_reader_finds_a_restarted_line(run: Path) -> None:
    reader = DisplayReader(run, Topic.STATUS)
    for _ in range(2):
        # A context of its own, ended: a socket's file is unlinked some time after its close.
        context = zmq.Context()
        display = Display(run, context=context)
        got: list[Message | None] = [None]

        def heard(display: Display = display, got: list[Message | None] = got) -> bool:
            # A reader subscribes again only while it reads: libzmq does so in the reader's thread.
            display.beat(STATUS)
            got[0] = reader.receive(0.01)
            return got[0] is not None

        until(heard)
        message = got[0]
        assert message is not None
        assert message.body["health"][0] == {
            "name": "side",
            "kind": "camera",
            "state": "ok",
            "detail": "",
        }
        display.close()
        context.term()
    reader.close()


def test_a_damaged_code_does_not_break_the_screen() -> None:
    assert unpack(pack(Topic.STATUS, 0, 1, {"serial": "A\ud800"})).body == {"serial": "A?"}


def test_a_score_that_is_no_number_does_not_break_the_screen() -> None:
    body = {"score": float("nan"), "rest": [float("inf"), 1.5], "name": "x"}
    assert unpack(pack(Topic.STATUS, 0, 1, body)).body == {
        "score": None,
        "rest": [None, 1.5],
        "name": "x",
    }


@given(st.binary(max_size=200))
def test_what_is_no_message_is_a_value_error(junk: bytes) -> None:
    with pytest.raises(ValueError):
        unpack(junk)
