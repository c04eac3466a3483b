"""Two recognisers read one line: the text that both find likeliest counts (S7)."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from inspector.tools.agree import agreed, by_neighbours, by_words, closed, likelihoods
from inspector.tools.recognise import NOTHING, Look, Reading

CHARS = "AB05SUV 12E"
INDEX = {char: i + 1 for i, char in enumerate(CHARS)}


def look(text: str, sure: float = 0.9, other: dict[int, tuple[str, float]] | None = None) -> Look:
    """A look that sees ``text``, each character ``sure``; at some places another one as well."""
    steps = np.full((2 * len(text) + 1, len(CHARS) + 1), 1e-4, np.float32)
    steps[::2, 0] = 0.999
    for i, char in enumerate(text):
        steps[2 * i + 1, INDEX[char]] = sure
        if other and i in other:
            also, share = other[i]
            steps[2 * i + 1, INDEX[char]] = 1 - share
            steps[2 * i + 1, INDEX[also]] = share
    return Look(Reading(text, sure, sure) if text else NOTHING, steps, INDEX, 1.0)


def test_a_texts_likelihood_is_the_sum_over_all_its_paths() -> None:
    rng = np.random.default_rng(5)
    steps = rng.dirichlet(np.ones(3), 5)
    seen = Look(NOTHING, steps, {"A": 1, "B": 2}, 1.0)
    for text in ("A", "AA", "ABA", "AB"):
        paths = 0.0
        for path in product(range(3), repeat=5):
            kept = [c for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)]
            if "".join(" AB"[c] for c in kept) == text:
                paths += float(np.prod([steps[i, c] for i, c in enumerate(path)]))
        assert paths > 0
        # what a look sees none of is held for a little likely, so almost
        assert likelihoods(seen, [text, "ABAB"])[0] == pytest.approx(np.log(paths), abs=0.05)


def test_the_surer_counts_where_two_differ() -> None:
    assert agreed([look("AV1", other={1: ("U", 0.45)}), look("AU1", 0.99)]).text == "AU1"
    assert agreed([look("AU1", 0.99), look("AV1", other={1: ("U", 0.45)})]).text == "AU1"


def test_a_word_that_coders_print_is_meant_and_a_number_stays_what_it_was_read_as() -> None:
    assert by_words("BEST BEF0RE 18 0CT 2029") == "BEST BEFORE 18 OCT 2029"
    assert by_words("L079 80S5 V0ID") == "L079 80S5 V0ID"
    assert agreed([look("U5E", 0.9, other={1: ("S", 0.05)})]).text == "USE"
    assert agreed([look("VS5", 0.9, other={1: ("5", 0.05)})]).text == "VS5"
    held_against_a_form = agreed([look("U5E", 0.9, other={1: ("S", 0.05)})], spell=False)
    assert held_against_a_form.text == "U5E"


def test_characters_of_one_and_spaces_of_the_other() -> None:
    sees = look("AB 125", other={5: ("S", 0.48)})
    drops = look("AB12S", other={4: ("5", 0.3)})
    drops.steps[4, [0, INDEX[" "]]] = 0.8, 0.2
    assert agreed([sees, drops]).text == "AB 12S"


def placed(text: str, *at: float) -> Reading:
    return Reading(text, 0.9, 0.9, tuple(range(len(text))), at)


def test_a_space_no_wider_than_what_stands_between_letters_is_none_if_most_looks_see_none() -> None:
    wide = placed("1 9 AB", 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    sees_none = placed("19 AB", 0.1, 0.3, 0.5, 0.7, 0.9)
    assert closed(wide, [wide, sees_none]) == "19 AB"
    as_seen = placed("1 9 AB", 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
    assert closed(wide, [wide, as_seen, sees_none]) == "1 9 AB", "narrow letters stand so too"


def test_a_space_that_is_wide_stays_whatever_another_look_sees() -> None:
    true = placed("19 AB", 0.1, 0.2, 0.3, 0.4, 0.5)
    assert closed(true, [true, placed("19AB", 0.1, 0.2, 0.4, 0.5)]) == "19 AB"


def test_agreed_text_is_as_sure_as_its_surest_look() -> None:
    assert agreed([look("AB", 0.7), look("AB", 0.95)]).weakest == pytest.approx(0.95)


def test_a_doubtful_line_says_so() -> None:
    doubtful = agreed([look("A5", other={1: ("S", 0.49)}), look("AS", other={1: ("5", 0.49)})])
    assert doubtful.weakest < 0.7


def test_nothing_read_by_either_is_nothing() -> None:
    assert agreed([look(""), look("")]) == NOTHING
    assert agreed([look(""), look("AB", 0.99)]).text == "AB"


@pytest.mark.parametrize(
    ("read", "meant"),
    [("0CT", "OCT"), ("2O30", "2030"), ("L0T A0", "LOT A0"), ("D02MK9", "D02MK9"), ("B0", "B0")],
)
def test_a_word_of_one_sort_offers_its_look_alikes(read: str, meant: str) -> None:
    assert by_neighbours(read) == meant
