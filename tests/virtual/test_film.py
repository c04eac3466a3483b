"""A film is whole and unchanged, or it is refused by name; a film set is the same for its seed."""

from __future__ import annotations

import os
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from inspector.virtual import batch
from inspector.virtual.film import (
    DATA_OFFSET,
    Film,
    FilmError,
    FilmWriter,
    PixelFormat,
    TruncatedFilm,
    encode,
    make_film,
    write_film,
)
from inspector.virtual.filmset import FilmSet, render_set


def frames(count: int, *shape: int) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return write_film(tmp_path / "a.film", frames(3, 6, 8), 8, 6, PixelFormat.Mono8)


def damage(path: Path, offset: int, data: bytes) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_film_gives_back_the_frames_it_was_made_of(film: Film) -> None:
    opened = Film.open(film.path)
    assert len(opened) == 3
    assert np.array_equal(opened.frames, np.stack(frames(3, 6, 8)))


def test_the_header_is_the_one_the_producer_reads(film: Film) -> None:
    raw = film.path.read_bytes()
    magic, *numbers, offset = struct.unpack_from("<8s6IQ", raw)
    assert magic == b"INSPFILM"
    assert (numbers, offset) == ([1, 8, 6, 0x01080001, 3, 48], 4096)
    assert raw[40:72].hex() == film.sha256
    assert len(raw) == 4096 + 3 * 48


def test_a_film_cannot_be_written_to(film: Film) -> None:
    assert stat.S_IMODE(film.path.stat().st_mode) == 0o444
    with pytest.raises(ValueError, match="read-only"):
        film.frames[0, 0, 0] = 1


def test_a_film_cut_short_is_named(film: Film) -> None:
    film.path.chmod(0o644)
    os.truncate(film.path, DATA_OFFSET + 100)
    with pytest.raises(
        TruncatedFilm, match=r"a\.film: cut short: 4196 bytes, its header says 4240"
    ):
        Film.open(film.path, verify=False)


def test_a_film_with_a_tail_is_named(film: Film) -> None:
    damage(film.path, DATA_OFFSET + 3 * 48, b"x")
    with pytest.raises(TruncatedFilm, match="too long"):
        Film.open(film.path)


def test_a_changed_pixel_is_found(film: Film) -> None:
    damage(film.path, DATA_OFFSET + 50, bytes([255 - film.frames[1, 0, 2]]))
    with pytest.raises(FilmError, match="frames have changed"):
        Film.open(film.path)


@pytest.mark.parametrize(
    ("offset", "data", "message"),
    [
        (0, b"NOTAFILM", "not a film"),
        (8, struct.pack("<I", 9), "version 9"),
        (12, struct.pack("<I", 9), "are not 9×6"),
        (20, struct.pack("<I", 77), "no pixel format 77"),
        (24, struct.pack("<I", 0), "0 frames"),
    ],
)
def test_a_broken_header_is_explained(film: Film, offset: int, data: bytes, message: str) -> None:
    damage(film.path, offset, data)
    with pytest.raises(FilmError, match=message):
        Film.open(film.path)


def test_a_film_that_is_not_finished_never_appears(tmp_path: Path) -> None:
    with (
        pytest.raises(FilmError, match="frame 1 is uint8"),
        FilmWriter(tmp_path / "b.film", 8, 6, PixelFormat.Mono8) as writer,
    ):
        writer.add(np.zeros((6, 8), np.uint8))
        writer.add(np.zeros((6, 9), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [format_.name for format_ in PixelFormat])
def test_any_image_becomes_a_film_in_every_pixel_format(tmp_path: Path, name: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    picture = cv2.resize(frames(1, 3, 4, 3)[0], (32, 24), interpolation=cv2.INTER_LINEAR)
    cv2.imwrite(str(images / "1.png"), picture)
    cv2.imwrite(str(images / "2.png"), cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[:12])

    film = make_film(images, tmp_path / "c.film", name)

    assert (film.width, film.height, len(film)) == (32, 24, 2)
    shown = film.picture(0).astype(int)
    if name.startswith("Mono"):
        assert np.array_equal(shown, cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    elif name == "BayerRG8":
        assert np.abs(shown - picture)[2:-2, 2:-2].mean() < 4
    else:
        assert np.array_equal(shown, picture)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("name", "bits"), [("Mono10", 10), ("Mono12", 12), ("Mono8", 8)])
def test_files_of_twelve_bits_become_films_of_their_values(
    tmp_path: Path, suffix: str, name: str, bits: int
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    values = np.random.default_rng(2).integers(0, 4096, (2, 24, 32), np.uint16)
    values[0] >>= 4  # a dark picture stays darker than a bright one
    for number, picture in enumerate(values):
        cv2.imwrite(str(images / f"{number}.{suffix}"), picture)

    film = make_film(images, tmp_path / "deep.film", name)

    assert (film.frames == values >> (12 - bits)).all()
    assert (film.picture(1) == values[1] >> 4).all() and film.picture(0).dtype == np.uint8
    assert (Film.open(film.path).frames == film.frames).all()


def test_what_cannot_be_read_as_an_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="no image in it"):
        make_film(tmp_path, tmp_path / "d.film")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(FilmError, match=r"broken\.png: .*no image that can be decoded"):
        make_film(tmp_path, tmp_path / "d.film")
    with pytest.raises(FilmError, match="no such folder"):
        make_film(tmp_path / "nowhere", tmp_path / "d.film")


def test_a_films_folder_that_is_not_there_is_named_as_it_was_given(tmp_path: Path) -> None:
    film = tmp_path / "films" / "a.film"
    with pytest.raises(FilmError, match=f"^{film}: its folder is not there; make it first"):
        FilmWriter(film, 8, 6, PixelFormat.Mono8)


def test_a_film_that_cannot_get_its_name_leaves_nothing_behind(tmp_path: Path) -> None:
    frames = [np.zeros((4, 4), np.uint8)]
    with pytest.raises(FilmError, match="is a folder; name the film's file in it"):
        write_film(tmp_path, frames, 4, 4, "Mono8")
    late = tmp_path / "late.film"
    with FilmWriter(late, 4, 4, PixelFormat.Mono8) as writer:
        writer.add(frames[0])
        late.mkdir()
        with pytest.raises(IsADirectoryError):
            writer.finish()
    assert list(tmp_path.iterdir()) == [late]


FULL = """
import numpy as np, resource, signal, sys
from inspector.virtual.film import FilmError, write_film
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_film(sys.argv[1], [np.zeros((100, 100), np.uint8)] * 9, 100, 100, "Mono8")
except FilmError as error:
    print(error)
"""


def test_a_film_for_which_there_is_no_room_leaves_none_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, tmp_path / "a.film"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"{tmp_path}: File too large"
    assert list(tmp_path.iterdir()) == []


def test_a_part_depends_on_the_seed_and_its_own_number_alone(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    long = render_set(
        "juice-line", 3, 18, tmp_path / "a", 0.4, lambda done, count: seen.append((done, count))
    )
    short = render_set("juice-line", 3, 11, tmp_path / "b", 0.4)

    assert seen == [(8, 18), (16, 18), (18, 18)]
    assert long.truth()[:11] == short.truth()
    for view in ("side", "code"):
        assert np.array_equal(long.film(view).frames[:11], short.film(view).frames)


@pytest.mark.slow
def test_a_set_is_the_same_for_its_seed_however_many_work_on_it(tmp_path: Path) -> None:
    one = render_set("juice-line", 3, 18, tmp_path / "one", 0.4)
    two = render_set("juice-line", 3, 18, tmp_path / "two", 0.4, workers=2)

    assert one.truth() == two.truth()
    for view in ("side", "code"):
        assert one.film(view).sha256 == two.film(view).sha256
    assert (one.lot, one.date) == (two.lot, two.date)
    assert any(part["defects"] for part in one.truth())
    assert any(not part["defects"] for part in one.truth())


def test_the_truth_is_for_the_world_only(tmp_path: Path) -> None:
    folder = render_set("bottle-line", 1, 2, tmp_path / "set").folder
    assert stat.S_IMODE((folder / "truth.json").stat().st_mode) == 0o600
    assert sorted(p.name for p in folder.iterdir()) == [
        "code.film", "film.json", "side.film", "truth.json",
    ]  # fmt: skip
    side, code = FilmSet.open(folder).film("side"), FilmSet.open(folder).film("code")
    assert (side.width, side.height, side.pixel_format) == (640, 480, PixelFormat.BayerRG8)
    assert (code.width, code.height, code.pixel_format) == (320, 240, PixelFormat.Mono8)
    assert side.picture(1).shape == (480, 640, 3)


def test_a_set_that_fails_half_way_leaves_no_film(tmp_path: Path) -> None:
    def stop(done: int, count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_set("bottle-line", 1, 20, tmp_path / "set", progress=stop)
    assert list((tmp_path / "set").iterdir()) == []
    with pytest.raises(FilmError, match="no complete film set"):
        FilmSet.open(tmp_path / "set")


def test_an_unknown_product_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="bottle-line, juice-line"):
        render_set("beer-line", 1, 2, tmp_path)


def test_bayer_frames_survive_being_demosaiced_and_sampled_again(tmp_path: Path) -> None:
    raw = frames(1, 8, 10)[0]
    film = write_film(tmp_path / "e.film", [raw], 10, 8, "BayerRG8")
    again = encode(film.picture(0), PixelFormat.BayerRG8)
    assert np.array_equal(again[1:-1, 1:-1], raw[1:-1, 1:-1])


def test_ctrl_c_in_the_middle_of_a_processs_start_is_heard_at_its_end() -> None:
    """Also where it is another thread that the signal comes to, as one that shows progress."""
    over, started = threading.Event(), []
    other = threading.Thread(target=over.wait)
    other.start()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), batch._deaf_to_ctrl_c():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            started.append(True)
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        other.join()
    assert started


@pytest.mark.slow
def test_ctrl_c_while_bottles_are_drawn_leaves_no_process_no_half_film_and_no_traceback(
    tmp_path: Path,
) -> None:
    """A terminal sends it to every process of the group; those that draw leave it to the one that
    was started by hand."""
    words = ["film", "render", "bottle-line", "--count", "2000", "--out", str(tmp_path / "set")]
    drawing = subprocess.Popen(
        [sys.executable, "-m", "inspector", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    until = time.monotonic() + 60
    while not list(tmp_path.glob("set/.side.film.*.part")):
        assert drawing.poll() is None and time.monotonic() < until
        time.sleep(0.05)

    os.killpg(drawing.pid, signal.SIGINT)

    _, said = drawing.communicate(timeout=60)
    assert drawing.returncode == 130
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until + 60:
            os.killpg(drawing.pid, 0)
            time.sleep(0.05)
    assert not list(tmp_path.glob("set/.*")) + list(tmp_path.glob("set/*"))
