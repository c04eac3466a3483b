"""The films of one batch, a view each, and what its parts really are.

Enters: a product and a seed. Leaves: a folder of films with their truth, which a station may not
read. Imports film, batch and bottle; the world, the demo, benches and training use it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from inspector.virtual import batch, bottle
from inspector.virtual.film import Film, FilmError, FilmWriter, PixelFormat
from inspector.virtual.print import Split


@dataclass(frozen=True, slots=True)
class FilmSet:
    """A folder of films of the same parts, one per view, and what batch they are."""

    folder: Path
    product: str
    lot: str
    date: str
    seed: int
    count: int

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> FilmSet:
        """Read ``film.json``. Raises FilmError when the folder holds no complete set."""
        path = Path(folder) / "film.json"
        try:
            card = json.loads(path.read_text())
            return cls(
                Path(folder), *(card[k] for k in ("product", "lot", "date", "seed", "count"))
            )
        except (OSError, ValueError, KeyError) as error:
            raise FilmError(f"{path}: no complete film set here ({error})") from None

    def film(self, view: str, verify: bool = True) -> Film:
        """The film of ``side`` or ``code``."""
        return Film.open(self.folder / f"{view}.film", verify)

    def truth(self) -> list[dict[str, Any]]:
        """What each part really is. For the world and for measuring; a station may not read it."""
        parts: list[dict[str, Any]] = json.loads((self.folder / "truth.json").read_text())
        return parts


def render_set(
    product: str,
    seed: int,
    count: int,
    out_dir: str | os.PathLike[str],
    defect_rate: float = 0.1,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
    *,
    split: Split = "held_out",
    lot: str | None = None,
    date: str | None = None,
    mixed: bool = False,
    novelty: str = "",
    novelty_rate: float = 0.1,
    novelty_from: int = 0,
) -> FilmSet:
    """Render a batch: ``side.film``, ``code.film``, ``truth.json`` (mode 0600) and ``film.json``.

    One set is one batch with one lot and date (drawn from the seed unless given) on one set-up;
    ``mixed`` draws the set-up anew for each part, for measuring models on many. ``novelty`` names a
    defect that no shipped model was shown; so many of the good parts have it, from part
    ``novelty_from`` on. ``progress`` is called with the parts done and the count. Nothing appears
    in ``out_dir`` before all is done.
    Raises FilmError for an unknown product or an impossible number.
    """
    if product not in bottle.PRODUCTS:
        raise FilmError(f"no product {product!r}; there are {', '.join(bottle.PRODUCTS)}")
    if count < 1 or seed < 0 or not 0 <= defect_rate <= 1:
        raise FilmError("count must be at least 1, seed at least 0, defect_rate between 0 and 1")
    if novelty and novelty not in bottle.NOVELTIES:
        raise FilmError(f"no novelty {novelty!r}; there are {', '.join(bottle.NOVELTIES)}")
    rng = np.random.default_rng([seed, 0])
    drawn = (bottle.draw_lot(rng), bottle.draw_date(rng))
    lot, date = lot or drawn[0], date or drawn[1]
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stretch = 8
    what = (lot, date, defect_rate, split, mixed, novelty, novelty_rate, novelty_from)
    orders = [
        batch.Stretch(product, seed, at, min(stretch, count - at), *what)
        for at in range(0, count, stretch)
    ]
    truth: list[dict[str, Any]] = []
    side_writer = FilmWriter(folder / "side.film", 640, 480, PixelFormat.BayerRG8)
    code_writer = FilmWriter(folder / "code.film", 320, 240, PixelFormat.Mono8)
    with side_writer, code_writer:
        for parts in batch.render_stretches(orders, workers):
            for side, code, facts in parts:
                side_writer.add(side)
                code_writer.add(code)
                truth.append(facts)
            if progress:
                progress(len(truth), count)
        card = {"product": product, "lot": lot, "date": date, "seed": seed, "count": count}
        (folder / "film.json").unlink(
            missing_ok=True
        )  # an old set is not half replaced: it is gone
        side_writer.finish()
        code_writer.finish()
        _write_json(folder / "truth.json", truth, 0o600)
        _write_json(folder / "film.json", card, 0o644)
    return FilmSet.open(folder)


def _write_json(path: Path, content: object, mode: int) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        json.dump(content, file, separators=(",", ":"))
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    part.replace(path)
