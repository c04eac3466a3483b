"""Which frame shows which part, against a simulated line that loses, doubles and delays."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspector.line.plcmatching import PlcMatching
from inspector.part import Frame, Part

MS = 1_000_000


@dataclass
class Camera:
    """Counts edges from when it was opened; its clock starts anywhere."""

    view: str
    clock_ms: float = 0.0
    edge: int = 0
    frame_id: int = 0
    misses: set[int] = field(default_factory=set)
    """Parts whose edge it counts without a picture."""
    told: bool = False
    """Its clock can be read, so that a frame says when it was exposed."""


class Line:
    """Parts at given instants, a PLC that is polled, cameras with transport delays."""

    def __init__(self, views: tuple[str, ...] = ("side",), counter: int = 0, pitch_ms: int = 20):
        self.matching = PlcMatching(
            dict.fromkeys(views, 200 * MS),
            pitch_ms * MS,
            lambda number: Part("s", number, 0, 0),
            lambda number: views,
        )
        self.cameras = [Camera(v, clock_ms=7_000_000.0 * i) for i, v in enumerate(views)]
        self.counter = counter
        self.truth: dict[tuple[str, int], int] = {}
        """Which part a frame really shows, by view and frame id (in its device's life)."""
        self.events: list[tuple[float, int, object]] = []
        self.matching.open(counter, 0)
        self.complete: dict[int, bool] = {}
        self.wrong: list[int] = []
        self.errors: set[int] = set()
        self.lives: dict[str, int] = dict.fromkeys(views, 0)

    def part(self, at_ms: float, delay_ms: float = 2.0, count: bool = True) -> None:
        """A part at the eye: an edge for every camera, and (``count``) one for the PLC."""
        if count:
            self.counter += 1
            self.events.append((at_ms, 0, ("trigger", self.counter, int(at_ms))))
        for camera in self.cameras:
            camera.edge += 1
            if self.counter in camera.misses:
                continue
            camera.frame_id += 1
            frame = Frame(
                camera.view, camera.frame_id + 1_000_000 * self.lives[camera.view],
                camera.edge, int((at_ms + 0.1 + camera.clock_ms) * MS),
                int((at_ms + delay_ms) * MS), int((at_ms + 0.1) * MS) if camera.told else 0,
            )  # fmt: skip
            self.truth[camera.view, frame.frame_id] = self.counter if count else -1
            self.events.append((at_ms + delay_ms, 1, frame))

    def reopen(self, at_ms: float, view: str) -> None:
        """The camera was unplugged and opened again."""
        camera = next(c for c in self.cameras if c.view == view)
        self.lives[view] += 1
        camera.edge = camera.frame_id = 0
        camera.clock_ms += 123_456.7
        self.events.append((at_ms, 2, view))

    def poll(self, at_ms: float) -> None:
        self.events.append((at_ms, 3, None))

    def play(self, timeout_ms: float = 200.0) -> None:
        """Everything in its order; parts are decided as the line does it."""
        pending: list[tuple[int, int]] = []
        waiting: dict[int, float] = {}
        for at_ms, kind, what in sorted(self.events, key=lambda e: e[:2]):
            if kind == 0:
                _, number, ms = what  # type: ignore[misc]
                pending.append((number, ms))
            elif kind == 1:
                self.matching.frame(what)  # type: ignore[arg-type]
            elif kind == 2:
                self.matching.camera_reset(str(what), int(at_ms * MS))
            else:
                for number, ms in pending:
                    self.matching.trigger(number, ms * MS, 0)
                    waiting[number] = at_ms
                pending.clear()
                self.matching.told(int(at_ms * MS))
            self._decide(at_ms, waiting, timeout_ms)
        self._decide(1e12, waiting, timeout_ms)

    def _decide(self, at_ms: float, waiting: dict[int, float], timeout_ms: float) -> None:
        while (candidate := self.matching.complete()) is not None:
            candidate.given = True
            candidate.judgement = object()
        for number, candidate in list(self.matching.parts.items()):
            if candidate.judgement is not None and candidate.certain:
                shows = {self.truth[f.view, f.frame_id] for f in candidate.part.frames.values()}
                if shows != {number}:
                    self.wrong.append(number)
                self.complete[number] = True
            elif candidate.triggered and (candidate.doubt or at_ms - waiting[number] > timeout_ms):
                self.errors.add(number)
            else:
                continue
            del self.matching.parts[number]
            waiting.pop(number, None)


def steady(line: Line, parts: int, pitch_ms: float, start_ms: float = 1000.0) -> float:
    """``parts`` at a pitch, polled every 10 ms; when the last one has been told."""
    for i in range(parts):
        line.part(start_ms + i * pitch_ms)
    end_ms = start_ms + parts * pitch_ms + 300
    for i in range(int((end_ms - start_ms + 300) / 10)):
        line.poll(start_ms - 300 + i * 10)
    return end_ms


@pytest.mark.parametrize(
    "late", [{30: 150.0}, {11: 35.0}, {11: 130.0, 12: 50.0}, {11: 260.0, 12: 180.0, 13: 100.0}]
)
def test_a_picture_that_was_asked_for_too_late_is_no_parts(late: dict[int, float]) -> None:
    """A busy machine asks for it when the part has gone on, for several parts at once, and each
    picture shows what stands there then."""
    windows = {"side": 300 * MS}
    matching = PlcMatching(
        windows, 40 * MS, lambda n: Part("s", n, 0, 0), lambda n: ("side",), asked=windows
    )
    matching.open(0, 0)
    told = {number: 80.0 * number + late.get(number, 0.0) for number in range(1, 31)}
    certain: set[int] = set()
    for at_ms in sorted(set(told.values())):
        asked = [number for number, told_ms in told.items() if told_ms == at_ms]
        for number in asked:
            matching.trigger(number, 80 * number * MS, 0)
        matching.told(int(at_ms * MS))
        for number in asked:
            exposed = int((at_ms + 5 + 8 * asked.index(number)) * MS)
            matching.frame(Frame("side", number, number, exposed, exposed + 2 * MS, exposed))
        matching.told(int((at_ms + 45) * MS))
        parts = matching.parts.items()
        certain |= {number for number, part in parts if part.certain and part.part.frames}
    assert not certain & late.keys()
    assert certain >= (set(range(1, 11)) | set(range(20, 31))) - late.keys(), (
        "the others are not the worse for it"
    )


@pytest.mark.parametrize("pitch_ms", [20, 50, 200, 1000])
def test_from_the_first_part_of_a_run_every_part_gets_its_own_pictures(pitch_ms: int) -> None:
    line = Line(("side", "code"))
    steady(line, 30, pitch_ms)
    line.play()
    assert list(line.complete) == list(range(1, 31))
    assert not line.wrong
    assert not line.errors


def test_a_frame_is_placed_and_can_be_judged_before_its_trigger_is_told() -> None:
    line = Line()
    steady(line, 3, 50)
    line.play()
    frame = Frame("side", 4, 4, int(2000.1 * MS), int(2002 * MS))
    line.matching.frame(frame)
    candidate = line.matching.complete()
    assert candidate is not None
    assert candidate.part.sequence == 4
    assert not candidate.certain
    line.matching.trigger(4, 2000 * MS, 0)
    line.matching.told(2005 * MS)
    assert candidate.certain


def test_in_the_middle_of_a_run_it_aligns_after_a_few_frames_and_loses_none() -> None:
    line = Line(counter=500)
    steady(line, 30, 20)
    line.play()
    assert list(line.complete) == list(range(501, 531))
    assert not line.wrong


@pytest.mark.parametrize(("pitch_ms", "way_ms"), [(5, 4.0), (5, 40.0), (20, 45.0)])
def test_a_picture_that_is_long_under_way_is_known_by_when_it_was_exposed(
    pitch_ms: int, way_ms: float
) -> None:
    """A picture of 5 megapixels needs 45 ms for its cable: more than a part's time."""
    line = Line(counter=500, pitch_ms=pitch_ms)
    line.cameras[0].told = True
    for i in range(40):
        line.part(1000 + i * pitch_ms, way_ms)
    for i in range(80 + 4 * pitch_ms):
        line.poll(700 + i * 10)
    line.play()
    assert not line.wrong
    assert list(line.complete) == list(range(501, 541))


@pytest.mark.parametrize("counter", [0, 500])
@pytest.mark.parametrize("pitch_ms", [3, 4, 5])
@pytest.mark.parametrize("poll_ms", [2, 7, 20])
def test_parts_that_follow_each_other_faster_than_the_plc_is_asked_get_their_pictures(
    counter: int, pitch_ms: int, poll_ms: int
) -> None:
    """At 200 parts/s and more the newest pictures' triggers are never told yet: those before them
    have to do."""
    line = Line(counter=counter, pitch_ms=2)
    line.cameras[0].told = True
    for n in range(300):
        line.part(n * pitch_ms + 0.5, delay_ms=1.0)
    for n in range(1, 2 + 300 * pitch_ms // poll_ms):
        line.poll(n * poll_ms + 0.9)
    line.play()
    assert not line.wrong and not line.matching.doubts
    late = {n for n in line.errors if n > counter + 40}
    assert not late and len(line.complete) > 250


def test_pictures_that_come_late_all_at_once_are_still_their_parts() -> None:
    """A machine that was busy elsewhere for 150 ms: 75 parts went by before it took the first
    of their pictures, and it had forgotten their triggers."""
    line = Line(pitch_ms=1)
    line.cameras[0].told = True
    for n in range(400):
        at_ms = n * 2 + 0.5
        line.part(at_ms, delay_ms=401.0 - at_ms if 250 <= at_ms < 400 else 1.0)
    for n in range(1, 100):
        line.poll(n * 10 + 0.9)
    line.play()
    assert not line.wrong and not line.matching.doubts
    assert set(line.complete) == set(range(1, 401))


@pytest.mark.parametrize("pitch_ms", [20, 50, 200])
def test_a_camera_that_was_opened_anew_is_aligned_anew(pitch_ms: int) -> None:
    line = Line(("side", "code"))
    steady(line, 20, pitch_ms)
    line.reopen(1000 + 20 * pitch_ms - 5, "code")
    for i in range(20, 60):
        line.part(1000 + i * pitch_ms)
    for i in range(int((60 * pitch_ms + 300) / 10)):
        line.poll(1300 + 20 * pitch_ms + i * 10)
    line.play()
    assert not line.wrong
    assert len(line.errors) <= 2
    assert set(range(30, 61)) <= set(line.complete)


@pytest.mark.parametrize("stalls", [1, 2])
def test_pictures_that_a_stalled_machine_took_in_all_at_once_align_no_camera(stalls: int) -> None:
    """(I1) Of a camera that does not tell when it exposed; the last of them is as late as a part
    is long, so each looks like the next part's."""
    line = Line(pitch_ms=15)
    steady(line, 20, 20)
    line.reopen(1395, "side")
    for i in range(20, 60):
        at_ms = 1000 + i * 20
        stall = (i - 20) // 6
        delay_ms = 1000 + 20 * (27 + stall * 6) - at_ms - 5 if stall < stalls else 2
        line.part(at_ms, delay_ms)
    for i in range(150):
        line.poll(1300 + i * 10)
    line.play()
    assert not line.wrong
    assert set(range(40, 61)) <= set(line.complete)


@pytest.mark.parametrize("ppm", [-80, 80])
@pytest.mark.parametrize("pitch_ms", [5, 20, 100, 500])
@pytest.mark.parametrize("pause_s", [10, 60, 600, 3600])
def test_after_a_pause_in_which_the_clocks_drifted_apart_no_part_is_lost(
    ppm: int, pitch_ms: int, pause_s: int
) -> None:
    """80 ppm are 48 ms after ten minutes, more than the way from part to part."""
    line = Line(pitch_ms=pitch_ms * 3 // 4)
    camera = line.cameras[0]
    camera.told = True
    for start_ms in (1000, 1000 + 100 * pitch_ms + pause_s * 1000):
        for i in range(100):
            at_ms = start_ms + i * pitch_ms
            camera.clock_ms = 7e6 + at_ms * ppm / 1e6
            line.part(at_ms)
        for i in range((100 * pitch_ms + 800) // 8):
            line.poll(start_ms - 300 + 8 * i)
    line.play()
    assert not line.errors and not line.wrong and not line.matching.doubts
    assert len(line.complete) == 200


def test_a_trigger_is_compared_by_the_plcs_clock_whatever_its_place_in_ours() -> None:
    """Our idea of the PLC's clock improves with each answer that comes sooner; by more than half
    the way from part to part, 2 ms, in an unlucky moment."""
    line = Line(pitch_ms=1)
    for number in range(1, 5):
        at_ms = 1000 + 2 * number
        ours_ms = at_ms - (1.1 if number > 1 else 0.0)
        line.matching.frame(Frame("side", number, number, int(at_ms * MS), int(at_ms * MS)))
        line.matching.trigger(number, int(ours_ms * MS), 0, (at_ms + 77) * MS)
        line.matching.told(int((ours_ms + 1) * MS), (at_ms + 78) * MS)
    assert not line.matching.doubts
    assert all(candidate.certain for candidate in line.matching.parts.values())


def test_a_trigger_that_exposed_nothing_is_an_error_and_its_neighbours_are_not() -> None:
    line = Line(("side", "code"))
    line.cameras[0].misses = {7}
    steady(line, 20, 20)
    line.play()
    assert line.errors == {7}
    assert not line.wrong


def test_a_picture_that_the_camera_reports_spoiled_is_an_error_at_once() -> None:
    line = Line()
    line.cameras[0].misses = {5}
    steady(line, 4, 50)
    line.play()
    line.matching.spoil("side", 5, "only part of the picture came", 1202 * MS)
    candidate = line.matching.trigger(5, 1200 * MS, 0)
    assert "only part" in candidate.doubt


@pytest.mark.parametrize("pitch_ms", [20, 50])
def test_an_edge_that_only_the_camera_saw_is_found_out_at_once(pitch_ms: int) -> None:
    line = Line()
    steady(line, 40, pitch_ms)
    line.part(1000 + 10.4 * pitch_ms, count=False)  # a reflection between parts 11 and 12
    # edges are counted in the order of time
    frames = sorted((e for e in line.events if e[1] == 1), key=lambda e: e[0])
    for edge, event in enumerate(frames, 1):
        object.__setattr__(event[2], "edge", edge)
    line.play()
    assert not line.wrong
    assert set(line.complete) >= set(range(1, 12)) | set(range(25, 41))
    assert line.matching.doubts


def test_an_edge_that_the_camera_did_not_see_is_found_out_at_once() -> None:
    line = Line()
    steady(line, 40, 20)
    frames = sorted((e for e in line.events if e[1] == 1), key=lambda e: e[0])
    line.events.remove(frames[14])
    for edge, event in enumerate((e for e in frames if e is not frames[14]), 1):
        object.__setattr__(event[2], "edge", edge)
    line.play()
    assert not line.wrong
    assert 15 in line.errors
    assert set(line.complete) >= set(range(1, 15)) | set(range(30, 41))


@settings(deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 2**32),
    pitch_ms=st.sampled_from([15, 20, 35, 50, 120, 400]),
    counter=st.sampled_from([0, 1, 1000]),
    trouble=st.sampled_from(["none", "missed", "edge lost", "edge doubled", "reopened"]),
    slow=st.booleans(),
    pause_s=st.sampled_from([0, 0, 20, 250, 3600]),
    ppm=st.sampled_from([-80, -20, 80]),
    told=st.booleans(),
)
def test_whatever_happens_no_part_is_judged_by_another_parts_picture(
    seed: int,
    pitch_ms: int,
    counter: int,
    trouble: str,
    slow: bool,
    pause_s: int,
    ppm: int,
    told: bool,
) -> None:
    """Random pitches, ways, stalls of up to 150 ms, polls, pauses, clocks that drift, troubles."""
    chance = random.Random(seed)
    line = Line(("side", "code"), counter, pitch_ms=12)
    for camera in line.cameras:
        camera.told = told
    at_ms = drifted_ms = 1000.0
    strange = chance.randrange(5, 35)
    rest = strange + chance.choice([-3, -1, 0, 1])
    if trouble == "missed":
        line.cameras[chance.randrange(2)].misses = {counter + strange}
    paused, stall_ms = (1e12, 1e12), 0.0
    for i in range(40):
        if i == rest and pause_s:
            paused = (at_ms + 400, at_ms + pause_s * 1e3 - 50)
            at_ms += pause_s * 1e3
        for camera in line.cameras:
            camera.clock_ms += (at_ms - drifted_ms) * ppm / 1e6
        drifted_ms = at_ms
        delay_ms = chance.choice([1.0, 2.0, 4.0, 5.0])
        if slow and i > 1 and chance.random() < 0.1:
            stall_ms = max(stall_ms, at_ms + chance.uniform(20, 150))
        delay_ms = max(delay_ms, stall_ms - at_ms)
        if i == strange and trouble == "edge lost":
            line.cameras[0].edge -= 1
        if i == strange and trouble == "edge doubled":
            line.cameras[0].edge += 1
        if i == strange and trouble == "reopened":
            line.reopen(at_ms - 1, "side")
        line.part(at_ms, delay_ms)
        at_ms += pitch_ms * chance.uniform(0.9, 1.6)
    poll_ms = 700.0
    while poll_ms < at_ms + 400:
        line.poll(poll_ms)
        poll_ms += chance.choice([2.0, 10.0, 20.0])
        if paused[0] < poll_ms < paused[1]:
            poll_ms = paused[1]
    line.play()
    assert not line.wrong
    assert set(line.complete) | line.errors == set(range(counter + 1, counter + 41))
    if trouble == "none" and not slow and counter == 0:
        assert not line.errors


@pytest.mark.parametrize("pitch_ms", [20, 50, 200, 1000])
@pytest.mark.parametrize("cut", [1, 2, 5, 15, 100])
def test_a_camera_whose_trigger_cable_was_off_for_a_while_comes_back_by_itself(
    pitch_ms: int, cut: int
) -> None:
    """(I5) It counted none of these edges, and its later pictures come under the numbers of parts
    that have long been decided without one."""
    line = Line(pitch_ms=pitch_ms)
    for i in range(cut + 80):
        if 40 <= i < 40 + cut:
            line.counter += 1
            at_ms = 1000 + i * pitch_ms
            line.events.append((at_ms, 0, ("trigger", line.counter, at_ms)))
        else:
            line.part(1000 + i * pitch_ms)
    for i in range((cut + 80) * pitch_ms // 10 + 100):
        line.poll(700 + i * 10)
    line.play()
    assert not line.wrong
    assert set(range(1, 41)) | set(range(51 + cut, 81 + cut)) <= set(line.complete)


@pytest.mark.parametrize("pitch_ms", [20, 50, 200, 1000])
@pytest.mark.parametrize("noise", [1, 2, 5, 30, 100])
def test_a_camera_that_counted_edges_of_no_part_comes_back_by_itself(
    pitch_ms: int, noise: int
) -> None:
    """(I5) Somebody has worked at its cable while the belt stood; its later pictures come under
    the numbers of parts that are still far away, which is known after a time-out."""
    line = Line(("side", "code"), pitch_ms=pitch_ms)
    for i in range(80):
        if i == 40:
            line.cameras[0].edge += noise
        line.part(1000 + i * pitch_ms)
    for i in range(80 * pitch_ms // 10 + 100):
        line.poll(700 + i * 10)
    line.play()
    assert not line.wrong
    assert set(range(1, 41)) | set(range(61, 81)) <= set(line.complete)


@pytest.mark.parametrize("apart_ms", [30, 90, 400])
def test_pictures_of_the_standing_belt_are_nobodys(apart_ms: int) -> None:
    """Edges that the PLC does not count, each with its picture, from both cameras."""
    line, pitch_ms = Line(("side", "code"), pitch_ms=20), 50
    for i in range(40):
        line.part(1000 + i * pitch_ms)
    stands_ms = 1000 + 40 * pitch_ms
    for i in range(20):
        line.part(stands_ms + 200 + i * apart_ms, count=False)
    goes_ms = stands_ms + 400 + 20 * apart_ms
    for i in range(40):
        line.part(goes_ms + i * pitch_ms)
    for i in range((goes_ms + 40 * pitch_ms) // 10):
        line.poll(700 + i * 10)
    line.play()
    assert not line.wrong
    assert set(range(1, 41)) | set(range(51, 81)) <= set(line.complete)
