"""What ``anomaly`` was taught: a digest in a recipe goes in, the checked judges come out.

A bank lies beside the recipe, ``anomaly/<sha256>.bank`` (``kept``). The file is zstd over a line of
JSON and the arrays that it lists, little-endian, one after the other: nothing in it is executed,
and the same teaching makes the same bytes. Imported by ``anomaly`` and by who teaches.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import zstandard
from pydantic import PlainSerializer, PlainValidator, ValidationInfo

from inspector.tools.card import Card
from inspector.tools.kept import Kind, digest_of, folder_of
from inspector.tools.likeness import Member
from inspector.tools.texture import MOST_PX, Source, same_scale, working_size

FILES = Kind("anomaly", ".bank", "a bank")
SCHEMA = "inspector-bank/1"
MOST_BYTES = 256 << 20
"""A bank that says it unpacks to more is none."""
MOST_FINER = 16
LEAST_AREA, MOST_AREA = 10_000, 16_000_000
HALF, WHOLE = np.dtype("<f2"), np.dtype("<f4")
_Raw = TypeVar("_Raw", float, np.ndarray[Any, Any])


@dataclass(frozen=True, slots=True)
class Learnt:
    """A network that was taught the product's defects by making them itself (``--thorough``).

    It travels in the bank, so that the recipe's digest covers it."""

    card: Card
    """Of task ``anomaly``."""
    data: bytes
    """The model file."""
    centre: float
    """Median of the worst place's log-odds on good pictures that it was not trained with."""
    spread: float
    """Their standard deviation."""


@dataclass(frozen=True, slots=True)
class Bank:
    """What one teaching made."""

    size: tuple[int, int]
    """Width and height, in pixels, of the pictures that it was taught with (their median)."""
    fixed: bool
    """All of them had that size: pictures of another one are another product's."""
    colour: bool
    members: tuple[Member, ...]
    learnt: Learnt | None = None
    most_px: int = MOST_PX
    """The area that larger pictures are scaled down to, but for members that look finer."""
    limit: float = 1.0
    """The worst place of a picture, in standard deviations, from which it is rejected."""
    scale: float = 1.0
    """Of the score: half way from limit to certainty."""
    report: dict[str, Any] = field(default_factory=dict)
    """What was measured when it was taught, for people."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """What its members look at, each once."""
        return tuple(dict.fromkeys(m.source for m in self.members))

    def looked_at(self, width: int, height: int) -> tuple[int, int]:
        """Width and height in which its members look at a picture of this size."""
        if self.fixed:
            return working_size(*self.size, self.most_px)
        return same_scale(width, height, self.size, self.most_px)

    def score(self, raw: _Raw) -> _Raw:
        """Of a part, or of each cell of a map: 0..1, 0.5 at the limit; grows with ``raw`` for ever,
        so that no two saturate alike."""
        x = (raw - self.limit) / self.scale
        return 0.5 * (1 + x / (1 + abs(x)))

    def raw_at(self, score: float) -> float:
        """The inverse of ``score``."""
        y = 2 * score - 1
        return self.limit + self.scale * y / (1 - abs(y))


@dataclass(frozen=True, slots=True, eq=False)
class TaughtBank:
    """A bank by its digest, perhaps not yet looked for."""

    digest: str
    """SHA-256 of its file, in hex."""
    _bank: Bank | None = None

    @property
    def bank(self) -> Bank:
        """Raises ``ModelError`` when its file was not looked for."""
        if self._bank is None:
            raise FILES.not_looked_for(self.digest)
        return self._bank

    @classmethod
    def of(cls, bank: Bank) -> TaughtBank:
        """A bank from memory, as it comes back from its file."""
        data = packed(bank)
        return cls(digest_of(data), unpacked(data))


def keep_bank(bank: Bank, recipes: Path) -> str:
    """Writes ``bank`` for the recipes in a folder; the digest to name it by. Raises ``OSError``."""
    return FILES.keep(packed(bank), recipes)


def read_bank(digest: str, recipes: Path) -> TaughtBank:
    """The bank beside the recipes in a folder. Raises ``ValueError``: what is wrong with it."""
    data = FILES.read(digest, recipes)
    try:
        return TaughtBank(digest, unpacked(data))
    except ValueError as error:
        why = f"is no bank of this version ({error}); teach it again"
        raise FILES.wrong(digest, recipes, why) from None


def packed(bank: Bank) -> bytes:
    """The file of ``bank``."""
    arrays: list[np.ndarray[Any, Any]] = []
    members = []
    for member in bank.members:
        # Whitening spans four powers of ten, which half precision has not room for.
        kept = {
            "mean": member.mean.astype(HALF if member.mean.ndim == 3 else WHOLE),
            "axes": member.axes.astype(WHOLE),
            "bank": member.bank.astype(HALF),
        }
        if member.usual.size:
            kept["usual"] = member.usual.astype(HALF)
        arrays += kept.values()
        members.append(
            {
                "source": asdict(member.source),
                "way": member.way,
                "centre": member.centre,
                "spread": member.spread,
                "arrays": {k: [v.dtype.str, list(v.shape)] for k, v in kept.items()},
            }
        )
    head = {
        "schema": SCHEMA,
        "size": list(bank.size),
        "fixed": bank.fixed,
        "colour": bank.colour,
        "most_px": bank.most_px,
        "members": members,
        "learnt": None if bank.learnt is None else _learnt_head(bank.learnt),
        "limit": bank.limit,
        "scale": bank.scale,
        "report": bank.report,
    }
    line = json.dumps(head, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    body = b"".join([line, *(np.ascontiguousarray(a).tobytes() for a in arrays)])
    if bank.learnt is not None:
        body += bank.learnt.data
    return zstandard.ZstdCompressor(level=10).compress(body)


def unpacked(data: bytes) -> Bank:
    """The bank in a file's bytes. Raises ``ValueError`` for whatever is no bank."""
    try:
        body = zstandard.ZstdDecompressor().decompress(data, max_output_size=MOST_BYTES)
        if len(body) > MOST_BYTES:
            raise ValueError("it unpacks to more than any bank")
        line, _, rest = body.partition(b"\n")
        head = json.loads(line)
        if head["schema"] != SCHEMA:
            raise ValueError(f"its schema is {head['schema']!r}, this version reads {SCHEMA!r}")
        members, at = [], 0
        for item in head["members"]:
            kept = {}
            for name in ("mean", "axes", "bank", *(["usual"] if "usual" in item["arrays"] else [])):
                kind, shape = item["arrays"][name]
                kept[name], at = _array(rest, at, kind, shape)
            source = item["source"]
            members.append(
                Member(
                    Source(
                        source["model"],
                        tuple(source["channels"]),
                        source["half"],
                        int(source.get("finer", 1)),
                    ),
                    item["way"],
                    centre=float(item["centre"]),
                    spread=float(item["spread"]),
                    **kept,
                )
            )
        learnt, at = _learnt(head["learnt"], rest, at)
        if at != len(rest):
            raise ValueError("it holds more or less than it lists")
        bank = Bank(
            size=(int(head["size"][0]), int(head["size"][1])),
            fixed=bool(head["fixed"]),
            colour=bool(head["colour"]),
            members=tuple(members),
            learnt=learnt,
            most_px=int(head.get("most_px", MOST_PX)),
            limit=float(head["limit"]),
            scale=float(head["scale"]),
            report=head["report"],
        )
        _check(bank)
    except (zstandard.ZstdError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    return bank


def _learnt_head(learnt: Learnt) -> dict[str, Any]:
    return {
        "card": learnt.card.model_dump(mode="json"),
        "bytes": len(learnt.data),
        "centre": learnt.centre,
        "spread": learnt.spread,
    }


def _learnt(head: Any, rest: bytes, at: int) -> tuple[Learnt | None, int]:
    if not head:
        return None, at
    end = at + int(head["bytes"])
    card = Card.model_validate(head["card"])
    learnt = Learnt(card, rest[at:end], float(head["centre"]), float(head["spread"]))
    return learnt, end


def _array(rest: bytes, at: int, kind: str, shape: Sequence[int]) -> tuple[Any, int]:
    if kind not in (HALF.str, WHOLE.str) or any(int(n) < 0 for n in shape):
        raise ValueError(f"an array of {kind} {shape}")
    count = int(np.prod(shape, dtype=np.int64))
    end = at + count * np.dtype(kind).itemsize
    if end > len(rest):
        raise ValueError("it is cut short")
    values = np.frombuffer(rest, kind, count, at).reshape(shape).astype(np.float32)
    return np.ascontiguousarray(values), end


def _check(bank: Bank) -> None:
    numbers = [bank.limit, bank.scale]
    if not bank.members and bank.learnt is None:
        raise ValueError("it has no judges")
    if bank.members and all(m.source.finer > 1 for m in bank.members):
        raise ValueError("none of its members sees a whole picture")
    for member in bank.members:
        channels, axes = member.axes.shape
        nearest = member.way == "nearest"
        fits = (
            member.way in ("spread", "placed", "nearest")
            and member.mean.shape[0] == channels
            and member.mean.ndim == (3 if member.way == "placed" else 1)
            and (member.bank.ndim == 2 and (member.bank.shape[1] == axes) == nearest)
            and (len(member.bank) > 0) == nearest
            and member.usual.ndim == 2
            and (bank.fixed or not member.usual.size)
            and 1 <= member.source.finer <= MOST_FINER
        )
        if not fits:
            raise ValueError(f"the arrays of {member.name} do not fit together")
        numbers += [member.centre, member.spread]
        arrays = (member.mean, member.axes, member.bank, member.usual)
        if not all(np.isfinite(a).all() for a in arrays) or member.spread <= 0:
            raise ValueError(f"{member.name} holds what is no number")
    if bank.learnt is not None:
        numbers += [bank.learnt.centre, 1 / (bank.learnt.spread or math.nan)]
    if not LEAST_AREA <= bank.most_px <= MOST_AREA:
        raise ValueError("it looks at pictures in a size that there is not")
    if not np.isfinite(numbers).all() or bank.scale <= 0 or min(bank.size) < 1:
        raise ValueError("its limits are no numbers")


def _found(value: Any, info: ValidationInfo) -> TaughtBank:
    if isinstance(value, TaughtBank):
        return value
    digest, folder = FILES.named(value), folder_of(info)
    return read_bank(digest, folder) if folder else TaughtBank(digest)


def _digest_of(bank: TaughtBank) -> str:
    return bank.digest


BankFile = Annotated[
    TaughtBank, PlainValidator(_found), PlainSerializer(_digest_of, return_type=str)
]
"""A field of a tool's parameters: 64 hex digits in the recipe, a ``TaughtBank`` when it is read."""
