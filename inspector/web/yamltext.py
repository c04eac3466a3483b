"""A YAML file that people wrote enters; it leaves changed in a place, its comments as they were.

The pages that change recipes and the station file import this; nothing here knows what they mean.
"""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from inspector.web.access import Refused


class _Representer(RoundTripRepresenter):
    """Writes ``null`` as people write it."""


def _null(representer: _Representer, value: None) -> Any:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _null)


def document(text: str) -> CommentedMap:
    """The document with its comments. Raises ``Refused``."""
    try:
        found = _yaml(text).load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # a day that is none is a ValueError
        raise Refused(f"the file is no YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(found, CommentedMap):
        raise Refused("the file has no fields; mend it by hand")
    return found


def written(found: CommentedMap, text: str) -> str:
    """The document as a text, its lists set in as those of ``text`` are."""
    out = io.StringIO()
    _yaml(text).dump(found, out)
    return out.getvalue()


def _yaml(text: str) -> YAML:
    yaml = YAML(typ="rt")
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 4096
    inset = re.search(r"^\w+:[ \t]*(?:#[^\n]*)?\n(?:\s*#[^\n]*\n)*( *)- ", text, re.MULTILINE)
    offset = len(inset[1]) if inset else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml
