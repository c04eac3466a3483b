"""How many there must be: bounds go in; whether any number keeps them all comes out, and which of
them a number breaks.

Imported by the tools.
"""

from __future__ import annotations


def check_bounds(at_least: float | None, at_most: float | None, what: str = "") -> None:
    """Bounds, of ``what``, that no number keeps would reject every part: ``ValueError``."""
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"`{what}at_least` must not exceed `{what}at_most`")


def check_count(at_least: int | None, at_most: int | None, exactly: int | None) -> None:
    """The same of a count, which has one bound at least. Raises ``ValueError``."""
    if at_least is None and at_most is None and exactly is None:
        raise ValueError("a count needs at least one of `at_least`, `at_most`, `exactly`")
    check_bounds(at_least, at_most)
    if exactly is not None and broken_bound(exactly, at_least, at_most, None):
        raise ValueError("`exactly` and the other bounds cannot hold together; leave out one")


def broken_bound(count: int, at_least: int | None, at_most: int | None, exactly: int | None) -> str:
    """What must be, as in ``at most 3``, where ``count`` breaks it; nothing where it holds."""
    if exactly is not None and count != exactly:
        return f"exactly {exactly}"
    if at_least is not None and count < at_least:
        return f"at least {at_least}"
    if at_most is not None and count > at_most:
        return f"at most {at_most}"
    return ""
