"""What print and codes must say goes in, naming the batch's texts: ``{lot}``; ``L2417A`` comes out.

Imported by the tools that hold a part against its batch.
"""

from __future__ import annotations

import functools
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator

from inspector.config import nearest
from inspector.tools.step import Context, Unjudged


def _names_texts(template: str) -> str:
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"`{template}`: {error}; a brace itself is written {{{{ or }}}}") from None
    for _, name, form, conversion in pieces:
        if name is not None and (
            not name or name.isdigit() or form or conversion or set(name) & set(".[]")
        ):
            what = "a text of the batch is named as in {lot}, and nothing else stands in braces"
            raise ValueError(f"`{template}`: {what}")
    return template


BatchText = Annotated[str, AfterValidator(_names_texts)]
"""May name the batch's texts: ``BEST BEFORE {date}``."""


@functools.cache
def _named(template: str) -> tuple[str, ...]:
    return tuple(name for _, name, _, _ in Formatter().parse(template) if name)


def filled(template: str, context: Context, what: str = "") -> str:
    """``template`` with the batch's texts; ``what`` needs it. Raises ``Unjudged`` when the batch
    lacks one, or leaves one empty: a rule must not vanish with its text, nor shrink to the words
    around it."""
    of_batch, whose = context.batch, f" for {what}" if what else ""
    try:
        text = template.format_map(of_batch.texts)
    except KeyError as error:
        name = str(error.args[0])
        raise Unjudged(
            f"batch {of_batch.id} has no text `{name}`{whose}; {nearest(name, of_batch.texts)}"
        ) from None
    if template and not (text.strip() and all(of_batch.texts[n].strip() for n in _named(template))):
        raise Unjudged(f"batch {of_batch.id} has nothing for `{template}`{whose}; give it a text")
    return text
