"""What the channel had when it was last asked: offers enter from ``process``, and leave for people.

Kept as ``<data>/releases/.offered.json``, so that a page or the command line can tell what the
centre offers without asking it itself. Nothing is believed of it: what runs is what `installed`
has proven. ``process`` and the command line import this.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from inspector.release.installed import FOLDER

FILE = ".offered.json"


class State(StrEnum):
    """What became of an offer here."""

    HERE = "here"
    """Installed: proven on this machine."""
    OLDER = "older"
    """A newer one of its recipe is installed."""
    REFUSED = "refused"
    """It did not hold; ``why`` says what."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One release on the channel."""

    release: str
    """``name/version``."""
    digest: str
    number: int
    state: State
    why: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """All of the channel, when it was last asked."""

    utc_ns: int
    source: str
    channel: str
    why: str = ""
    """Why it could not be asked, or not all of it; empty where it could."""
    offers: tuple[Entry, ...] = ()


def tell(data: Path, offered: Offered) -> None:
    """Keep it. Raises ``OSError``."""
    home = data / FOLDER
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f"{FILE}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(offered), ensure_ascii=False), encoding="utf-8")
    draft.replace(home / FILE)


def told(data: Path) -> Offered | None:
    """What was kept; None where no channel was asked yet."""
    try:
        body = json.loads((data / FOLDER / FILE).read_bytes())
        offers = tuple(Entry(**one | {"state": State(one["state"])}) for one in body["offers"])
        return Offered(**body | {"offers": offers})
    except (OSError, ValueError, KeyError, TypeError):
        return None
