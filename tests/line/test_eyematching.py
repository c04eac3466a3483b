"""Which frame shows which part where no PLC counts: the eye's exposures are the triggers."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence

import pytest

from inspector.line.eyematching import EyeMatching
from inspector.part import Frame, Part

MS = 1_000_000
TIMEOUT_MS = 300.0


class Line:
    """An eye and a second camera, which sees each part ``after_ms`` later (or earlier)."""

    def __init__(
        self, after_ms: float = 0.0, timed: Collection[str] = ("code",), told: bool = True
    ) -> None:
        views = ("side", "code")
        self.matching = EyeMatching(
            dict.fromkeys(views, 200 * MS),
            20 * MS,
            lambda number: Part("s", number, 0, 0),
            lambda number: views,
            timed=timed,
        )
        self.matching.open(0, 0)
        for view in views:
            self.matching.camera_reset(view, 0)
        self.after_ms = after_ms
        self.moved = (0, 0.0)
        """From which part on the second camera hangs elsewhere, by so many ms."""
        self.told = told
        self.untold: Collection[int] = ()
        """Parts whose exposure the second camera does not tell, as its clock is being set."""
        self.counted = 0
        self.good: list[int] = []
        self.wrong: list[int] = []
        self.errors: set[int] = set()

    def play(
        self, at_ms: Iterable[float], missed: Collection[int] = (), opened_ms: float = 0.0,
        opened: str = "code", unseen: Collection[int] = (),
        spoiled: Collection[tuple[str, int]] = (),
    ) -> None:  # fmt: skip
        """Parts at the eye at these instants, which count from 1; of ``missed`` the second camera
        takes no picture and counts nothing, of ``unseen`` the eye. One is ``opened`` then. What is
        ``spoiled``, by view and part, is counted and comes to nothing, and the line is told so."""
        shots: list[tuple[float, str, int]] = []
        for number, ms in enumerate(at_ms, start=1):
            if number not in unseen:
                shots.append((ms, "side", number))
            if number not in missed:
                first, moved_ms = self.moved
                moved_ms = moved_ms if first and number >= first else 0.0
                shots.append((ms + self.after_ms + moved_ms, "code", number))
        counts = {"side": 0, "code": 0}
        arrivals = []
        chance = random.Random(3)
        for ms, view, number in sorted(shots):
            counts[view] += 1
            tells = view == "side" or (self.told and number not in self.untold)
            exposed_ns = int(ms * MS) if tells else 0
            frame = Frame(view, counts[view], None, int((ms + 9e5) * MS), int((ms + 3) * MS),
                          exposed_ns)  # fmt: skip
            arrivals.append((ms + 3 + chance.random() * 4, number, frame))
        waiting: dict[int, float] = {}
        shows: dict[int, int] = {}
        for now_ms, number, frame in sorted(arrivals, key=lambda a: a[0]):
            if opened_ms and now_ms > opened_ms:
                self.matching.camera_reset(opened, int(opened_ms * MS), there=False)
                self.matching.camera_reset(opened, int(opened_ms * MS))
                opened_ms = 0.0
            if (frame.view, number) in spoiled:
                self.matching.spoil(frame.view, None, "incomplete", int(now_ms * MS))
                continue
            shows[id(frame)] = number
            self.matching.frame(frame)
            if frame.view == "side":
                while self.counted < self.matching.number(frame):
                    self.counted += 1
                    self.matching.trigger(self.counted, frame.exposed_ns, 0)
                self.matching.told(frame.exposed_ns)
            for part in self.matching.parts:
                waiting.setdefault(part, now_ms)
            self._decide(now_ms, waiting, shows)
        self._decide(1e12, waiting, shows)

    def _decide(self, now_ms: float, waiting: dict[int, float], shows: dict[int, int]) -> None:
        while (candidate := self.matching.complete()) is not None:
            candidate.given = True
            candidate.judgement = object()
        for number, candidate in list(self.matching.parts.items()):
            if candidate.judgement is not None and candidate.certain:
                right = len({shows[id(f)] for f in candidate.part.frames.values()}) == 1
                (self.good if right else self.wrong).append(number)
            elif candidate.doubt or now_ms - waiting[number] > TIMEOUT_MS:
                self.errors.add(number)
            else:
                continue
            del self.matching.parts[number]


def uneven(parts: int, seed: int = 1) -> list[float]:
    """Instants of parts 30 to 80 ms apart."""
    chance = random.Random(seed)
    instants = [1000.0]
    while len(instants) < parts:
        instants.append(instants[-1] + 30 + 50 * chance.random())
    return instants


EVEN = [1000.0 + 40 * n for n in range(60)]


@pytest.mark.parametrize("after_ms", [0.0, -12.0, 15.0, 170.0])
@pytest.mark.parametrize("instants", [EVEN, uneven(60)], ids=["even", "uneven"])
def test_every_part_gets_its_own_pictures(after_ms: float, instants: list[float]) -> None:
    """S1: also where the second camera stands some parts before or behind the eye."""
    line = Line(after_ms)
    line.play(instants)
    assert line.good == list(range(1, 61))
    assert not line.wrong and not line.errors


@pytest.mark.parametrize("after_ms", [0.0, -12.0, 15.0, 170.0])
@pytest.mark.parametrize("instants", [EVEN, uneven(60)], ids=["even", "uneven"])
def test_an_edge_that_a_camera_missed_uncounted_gives_no_part_its_neighbours_picture(
    after_ms: float, instants: list[float]
) -> None:
    """I2: every part after it was judged by the picture of the next one, and could pass so."""
    line = Line(after_ms)
    line.play(instants, missed={20, 40})
    assert not line.wrong
    assert line.errors == {20, 40}, "the others are not the worse for it"
    assert {*line.good} | line.errors == {*range(1, 61)}


@pytest.mark.parametrize("after_ms", [0.0, 15.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_edge_that_the_eye_missed_uncounted_gives_no_part_its_neighbours_picture(
    after_ms: float, seed: int
) -> None:
    """I2: half the way to the part before was twice as far as it seemed, and once one neighbour's
    picture had fitted, those of all that followed did."""
    line = Line(after_ms)
    line.play(uneven(60, seed), unseen=range(10, 60, 6))
    assert not line.wrong
    assert len(line.good) == 60 - 9


@pytest.mark.parametrize("after_ms", [-12.0, 15.0])
@pytest.mark.parametrize(("view", "part"), [("code", 1), ("side", 1), ("side", 30)])
def test_a_picture_that_came_to_nothing_is_counted_where_a_rest_tells_which_part_is_which(
    view: str, part: int, after_ms: float
) -> None:
    """I2: the first or last beside the rest was incomplete, and told so; the next one was taken for
    it, and all parts after it were judged by their neighbours' pictures."""
    line = Line(after_ms)
    rest = [*EVEN[:30], *(ms + 600.0 for ms in EVEN[30:])]
    late = {"opened_ms": rest[5] - 20.0} if part == 30 else {}
    line.play(rest, missed=range(1, 6) if late else (), spoiled={(view, part)}, **late)
    assert not line.wrong
    assert len(line.good) >= 29 or part == 30


def test_an_eyes_picture_that_was_lost_before_a_rest_is_counted_when_the_next_one_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody was told. Meanwhile the other camera, which sees parts before the eye, had been taken
    to show those that it does not."""
    line = Line(after_ms=-55.0)
    monkeypatch.setattr(line.matching, "spoil", lambda *lost: None)
    rest = [*EVEN[:30], *(ms + 600.0 for ms in EVEN[30:])]
    line.play(rest, missed=range(1, 6), opened_ms=rest[5] - 75.0, spoiled={("side", 30)})
    assert not line.wrong


def test_a_picture_that_was_longer_under_way_than_any_parts_is_nobodys() -> None:
    """The line ended there, and with it all that was under way."""
    matching = Line().matching
    matching.frame(Frame("side", 1, None, 1, 2003 * MS, 2000 * MS))
    matching.trigger(1, 2000 * MS, 0)
    matching.told(2000 * MS)
    late = Frame("code", 1, None, 1, 2005 * MS, 1000 * MS)
    matching.frame(late)
    assert matching.number(late) == 0 and matching.orphans == 1


@pytest.mark.parametrize("late", [3, 12])
def test_no_camera_counts_parts_while_the_eye_is_not_there(late: int) -> None:
    """I2: the first that came after a rest was the next part to it, but to the eye, which came
    while parts went by, it was one that nobody had counted: all had another one's picture."""
    line = Line(after_ms=15.0)
    line.matching.camera_reset("side", 0, there=False)
    rest = [*EVEN[:30], *(ms + 600.0 for ms in EVEN[30:])]
    line.play(rest, opened_ms=rest[late] - 20.0, opened="side", unseen=range(1, late + 1))
    assert not line.wrong
    assert {*range(31 - late, 61 - late)} <= {*line.good}


@pytest.mark.parametrize("after_ms", [0.0, -12.0, 15.0, 170.0])
@pytest.mark.parametrize("late", [1, 3], ids=["one late", "three late"])
@pytest.mark.parametrize("instants", [EVEN, uneven(60)], ids=["even", "uneven"])
def test_a_camera_that_comes_while_parts_go_by_is_not_believed_before_the_belt_has_rested(
    after_ms: float, late: int, instants: list[float]
) -> None:
    """I2: its first picture was taken for that of the oldest part that lacked one, and at an even
    pitch nothing showed that each part was judged by its neighbour's."""
    line = Line(after_ms)
    rest = [*instants[:30], *(ms + 400.0 for ms in instants[30:])]
    line.play(rest, missed=range(1, late + 1), opened_ms=rest[late] - 20.0)
    assert not line.wrong
    assert {*range(1, 31)} <= line.errors
    assert {*range(31, 61)} <= {*line.good}


@pytest.mark.parametrize("after_ms", [0.0, -12.0, 15.0, 170.0])
def test_a_camera_that_missed_the_very_first_part_is_found_out_after_the_next_rest(
    after_ms: float,
) -> None:
    """It had learned from its neighbours' pictures how it follows the eye, and went on by that."""
    line = Line(after_ms)
    line.play([1000.0 + 700 * (n // 6) + 40 * (n % 6) for n in range(60)], missed={1})
    assert not {*line.wrong} & {*range(7, 61)}
    assert {*range(13, 61)} <= {*line.good}


@pytest.mark.parametrize("opened", ["code", "side", ""], ids=["it", "the eye", "pushed aside"])
def test_a_camera_that_hangs_elsewhere_is_found_out_after_a_few_pictures(opened: str) -> None:
    """I2: how it followed the eye was taken for proven, and where parts came as they liked one in
    three fitted by chance, and passed by another one's picture, until the belt rested."""
    wrong = 0
    for seed in range(6):
        line, instants = Line(after_ms=15.0), uneven(120, seed)
        line.moved = (61, 23.0 + 7 * seed)
        line.play(instants, opened_ms=instants[60] - 5.0 if opened else 0.0, opened=opened)
        assert {*range(1, 61)} <= {*line.good}
        wrong += len(line.wrong)
    assert wrong <= (6 if opened else 24), "of 360"


@pytest.mark.parametrize("opened", ["code", "side"])
def test_a_camera_that_comes_again_needs_no_rest(opened: str) -> None:
    """It was told to be lost and then to be there: the second word undid what the first had left
    known, and every part was an error until none came for a while."""
    line = Line(after_ms=15.0)
    line.play(EVEN, opened_ms=EVEN[30] - 5.0, opened=opened)
    assert not line.wrong and len(line.good) >= 59


def test_pictures_of_parts_that_the_eye_does_not_see_are_told() -> None:
    """An eye that is turned away counts nothing, and its silence is no alarm of itself."""
    line = Line(after_ms=15.0)
    line.play(EVEN, unseen=range(31, 61))
    assert line.good == list(range(1, 31)) and not line.errors
    assert "code: a frame without a trigger" in line.matching.doubts


def test_a_camera_that_does_not_tell_when_it_exposed_goes_by_count() -> None:
    line = Line(told=False)
    line.play(EVEN)
    assert line.good == list(range(1, 61))


def test_a_count_that_was_made_while_a_camera_did_not_tell_is_not_kept() -> None:
    """I2: the eye missed an edge meanwhile, and when the camera's clock was set once more, each
    part passed by another one's picture."""
    line = Line(after_ms=4.0)
    line.untold = {21, *range(51, 61)}
    rest = [*EVEN[:20], *(ms + 600.0 for ms in EVEN[20:])]
    line.play(rest, unseen={40})
    assert not line.wrong and {*line.good} >= {*range(1, 21), *range(22, 39)}


def test_who_goes_by_count_goes_on_where_the_eye_counts_a_picture_that_it_lost() -> None:
    line = Line(told=False)
    line.play(EVEN, spoiled={("side", 20)})
    assert not line.wrong and {*line.good} >= {*range(21, 61)}


def test_pictures_that_no_edge_takes_go_by_count() -> None:
    """A folder has no shutter that the belt could pull."""
    line = Line(after_ms=4.0, timed=())
    chance = random.Random(5)
    line.play([1000.0 + 40 * n + 15 * chance.random() for n in range(60)])
    assert line.good == list(range(1, 61))


@pytest.mark.parametrize("away", [3, 25])
def test_who_goes_by_count_alone_is_counted_anew_with_the_eye(away: int) -> None:
    """I2: after a short absence of the eye each part passed by an earlier one's picture; after a
    long one its pictures waited for ever for parts that had long gone by."""
    line = Line(after_ms=4.0, timed=())
    line.play(EVEN, unseen=range(31, 31 + away), opened_ms=EVEN[30 + away] - 5.0, opened="side")
    assert not line.wrong and len(line.good) == 60 - away


def asking(pitch_ms: int) -> EyeMatching:
    """Counted by the eye at the side; the camera on top is asked for each part's picture."""
    windows = dict.fromkeys(("side", "top"), 300 * MS)
    matching = EyeMatching(
        windows, pitch_ms * MS, lambda n: Part("s", n, 0, 0), lambda n: tuple(windows),
        timed=["top"], asked=["top"],
    )  # fmt: skip
    matching.open(0, 0)
    return matching


def test_a_picture_that_was_asked_for_and_did_not_come_gives_no_part_its_neighbours() -> None:
    """The camera took no notice of it, and while it was waited for, other parts went by."""
    matching = asking(40)
    shots = [(100.0 * n, "side") for n in range(1, 41)]
    for n in (n for n in range(1, 41) if n != 20):
        asked = 100.0 * n + 8
        late = 2308.0 + 8 * (n - 21) - asked if n in (21, 22, 23) else 0.0
        shots.append((asked + late, "top"))
    counts = dict.fromkeys(("side", "top"), 0)
    exposed: dict[int, float] = {}
    for ms, view in sorted(shots):
        counts[view] += 1
        at_ns = int(ms * MS)
        matching.frame(Frame(view, counts[view], None, at_ns, at_ns + 3 * MS, at_ns))
        if view == "side":
            matching.trigger(counts[view], at_ns, 0)
            matching.told(at_ns)
        for number, part in matching.parts.items():
            if part.certain and len(part.part.frames) == 2:
                exposed[number] = part.part.frames["top"].exposed_ns / MS - 100.0 * number
    assert all(0 <= after_ms < 30 for after_ms in exposed.values())
    assert exposed.keys() >= {*range(1, 19), *range(30, 40)}


@pytest.mark.parametrize(
    ("after_ms", "own"),
    [([5] * 10 + [86] * 10 + [5] * 10, [*range(1, 11), *range(21, 31)]),
     ([86] * 6 + [5] * 14, [*range(1, 21)])],
    ids=["a machine that was slow", "at the start"],
)  # fmt: skip
def test_a_picture_that_was_asked_for_late_is_no_parts(
    after_ms: Sequence[int], own: Sequence[int]
) -> None:
    """I2: the machine was slow for a second, and each part then passed by a picture that showed the
    next one, by 24 ms; how late they had been was taken for how late they always are."""
    matching = asking(100)
    certain: dict[int, None] = {}
    for n, ms in enumerate(after_ms, start=1):
        at_ns = (1000 + 110 * n) * MS
        matching.frame(Frame("side", n, None, at_ns, at_ns + 3 * MS, at_ns))
        matching.trigger(n, at_ns, 0)
        matching.told(at_ns)
        asked_ns = at_ns + ms * MS
        matching.frame(Frame("top", n, None, asked_ns + 7, asked_ns + 3 * MS, asked_ns))
        certain |= dict.fromkeys(
            k for k, c in matching.parts.items() if c.certain and len(c.part.frames) == 2
        )
    assert list(certain) == own
