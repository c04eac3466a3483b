"""What several looks at one line of print say goes in, the text that all find likeliest comes out.

A recogniser of printed words drops narrow spaces and takes characters of few dots for one another;
one that has learned dots does neither, but knows fewer characters. Each offers its reading. Each
also says how likely the others' are (connectionist temporal classification gives any text a
probability), and so are mixtures of two readings: the characters of one with the spaces of the
other, or where they differ by a few characters, some of the one and some of the other. Imported by
``tools/read.py`` alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations, product

import numpy as np
from numpy.typing import NDArray

from inspector.tools.recognise import NOTHING, Look, Reading

UNKNOWN = 1e-2
"""Probability of what a look sees none of: no single look can rule a text out."""
NEVER = -1e6
SPACE = 1.05
"""A space is at least this many median distances of characters wide, from middle to middle. Of 343
that were there and read, 98 % have more than 1.17 (one look of three: 1.0); of 26 that were not,
the widest has 1.03."""
MIXED = 3
"""Readings that differ by more characters are not mixed."""
MOST = 24
"""Texts that are weighed at most."""
WORDS = {
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC", "BEST",
    "BEFORE", "USE", "EXP", "EXPIRY", "BATCH", "LOT", "PROD", "MFG", "MFD", "PKD", "DATE", "END",
    "SEE", "LID", "PACKED", "BORN",
}  # fmt: skip
"""What coders print again and again …"""
SPELT = 6.9
"""… and is meant a thousand times as often as what looks like it with a digit in it (0CT)."""
LETTERS = str.maketrans("01568", "OISGB")
INKED = re.compile(r"[A-Z0-9]+")
LOOKED_LIKE = re.compile(r"[A-Z0-9]{3,}")


def agreed(looks: Sequence[Look], spell: bool = True) -> Reading:
    """The likeliest text by all looks that saw any.

    ``spell`` holds words that coders print for likelier. Of a line that a form or a batch's text is
    held against it must be off: there the form alone decides what may stand for what.
    As its weakest character's probability it has that of the surest look that read just this, or,
    if none did or other texts come near, the text's own among those weighed.
    """
    looks = [look for look in looks if look.reading.text.strip()]
    if not looks:
        return NOTHING
    readings = [look.reading for look in looks]
    read = [closed(reading, readings).strip() for reading in readings]
    texts = list(dict.fromkeys(_offered(read)))[:MOST]
    total = np.sum([look.weight * likelihoods(look, texts) for look in looks], axis=0)
    if spell:
        total += [SPELT * sum(map(WORDS.__contains__, INKED.findall(text))) for text in texts]
    total = np.maximum(total, NEVER)  # a text may be longer than a look has steps
    best = int(total.argmax())
    share = float(1 / np.exp(np.clip(total - total[best], -700, 0)).sum())
    text = texts[best]
    same = [look.reading for look, said in zip(looks, read, strict=True) if said == text]
    if not same:
        return Reading(text, share, share)
    surest = max(same, key=lambda reading: reading.weakest)
    return Reading(
        text, surest.score, min(surest.weakest, share) if len(same) == 1 else surest.weakest
    )


def _offered(read: Sequence[str]) -> Iterator[str]:
    """The readings, then what may be made of two of them."""
    yield from read
    yield from map(by_neighbours, read)
    yield from map(by_words, read)
    for one, other in permutations(dict.fromkeys(read), 2):
        inked = [c for c in one if c != " "]
        if len(inked) == len(other.replace(" ", "")):
            characters = iter(inked)
            yield "".join(c if c == " " else next(characters) for c in other)
            mixed = list(zip(inked, other.replace(" ", ""), strict=True))
            if 1 < sum(a != b for a, b in mixed) <= MIXED:
                for choice in product(*(dict.fromkeys(pair) for pair in mixed)):
                    characters = iter(choice)
                    yield "".join(c if c == " " else next(characters) for c in one)


def closed(reading: Reading, others: Sequence[Reading]) -> str:
    """The text less the spaces that are none: letters that are set wide are read as words of one
    letter, but stand no further apart there than elsewhere, and most other looks see no space."""
    text, at = reading.text, reading.at
    inked = [i for i, char in enumerate(text) if char != " "]
    if len(at) != len(text) or len(inked) < 4:
        return text
    looks = [_spaces(other) for other in others if other is not reading]
    seen = [spaces for count, spaces in looks if count == len(inked)]
    gaps = [at[b] - at[a] for a, b in pairwise(inked)]
    least = SPACE * sorted(gaps)[len(gaps) // 2]
    kept = [text[: inked[0] + 1]]
    for number, (a, b) in enumerate(pairwise(inked), start=1):
        unseen = sum(number not in spaces for spaces in seen)
        none = gaps[number - 1] < least and 2 * unseen > len(seen)
        kept.append(text[b] if none else text[a + 1 : b + 1])
    return "".join((*kept, text[inked[-1] + 1 :]))


def _spaces(reading: Reading) -> tuple[int, set[int]]:
    """How many characters a text has, and after how many of them there are spaces."""
    count, after = 0, set()
    for char in reading.text:
        if char == " ":
            after.add(count)
        else:
            count += 1
    return count, after


def by_words(text: str) -> str:
    """The text with letters for the digits in what is otherwise a word that coders print. Digits
    of numbers, lots and serials stay what they were read as."""

    def mended(word: re.Match[str]) -> str:
        spelt = word.group().translate(LETTERS)
        return spelt if spelt in WORDS else word.group()

    return INKED.sub(mended, text)


def by_neighbours(text: str) -> str:
    """The text with each O among digits as 0 and each 0 among letters as O, word by word."""

    def mended(word: re.Match[str]) -> str:
        found = word.group()
        rest = found.replace("O", "").replace("0", "")
        if rest.isalpha():
            return found.replace("0", "O")
        return found.replace("O", "0") if rest.isdigit() else found

    return LOOKED_LIKE.sub(mended, text)


def likelihoods(look: Look, texts: Sequence[str]) -> NDArray[np.float64]:
    """The logarithm of each text's probability, by the forward algorithm."""
    longest = 2 * max(map(len, texts)) + 1
    which = np.zeros((len(texts), longest), np.int64)
    known = np.ones((len(texts), longest), bool)
    for row, (text, mark) in enumerate(zip(texts, known, strict=True)):
        for i, char in enumerate(text):
            which[row, 2 * i + 1] = look.index.get(char, 0)
            mark[2 * i + 1] = char in look.index
    given = np.where(known, np.maximum(look.steps[:, which], UNKNOWN), UNKNOWN)
    sure = np.log(given.astype(np.float64))
    leaps = np.zeros(which.shape, bool)  # from one character to another, over the blank
    leaps[:, 2:] = (which[:, 2:] != which[:, :-2]) & (np.arange(2, longest) % 2 == 1)
    never = -np.inf
    paths = np.full((len(texts), longest + 2), never)
    paths[:, 2:4] = sure[0, :, :2]
    for step in sure[1:]:
        come = np.logaddexp(paths[:, 2:], paths[:, 1:-1])
        come = np.logaddexp(come, np.where(leaps, paths[:, :-2], never))
        paths[:, 2:] = come + step
    rows, ends = np.arange(len(texts)), np.array([2 * len(text) + 2 for text in texts])
    before = np.where(ends > 2, paths[rows, ends - 1], never)
    return np.asarray(np.logaddexp(paths[rows, ends], before), np.float64)
