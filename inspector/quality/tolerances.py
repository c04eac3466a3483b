"""What may be measured, as the recipe files say it: tolerances by measure.

Enters: a station's recipe files. Leaves: for each recipe's name the limits of ``tool/label``. The
quality process and its reports import it; recipes themselves are the line's matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inspector.config import ConfigError, read_yaml
from inspector.quality.spc import Limits

NONE: Limits = {}


def tolerances(paths: list[Path]) -> dict[str, Limits]:
    """Of each recipe in ``paths``, by its name. A file that cannot be read says nothing here."""
    found: dict[str, Limits] = {}
    for path in paths:
        try:
            recipe = read_yaml(path)
        except (ConfigError, OSError):
            continue
        if isinstance(recipe, Mapping):
            found[str(recipe.get("name", path.stem))] = dict(_limits(recipe))
    return found


def limits_of(known: Mapping[str, Limits], recipe: str) -> Limits:
    """Of ``name@revision``."""
    return known.get(recipe.partition("@")[0], NONE)


def _limits(recipe: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float | None, float | None]]]:
    for step in recipe.get("tools") or ():
        params = step.get("params") if isinstance(step, Mapping) else None
        for value in (params.get("measures") or ()) if isinstance(params, Mapping) else ():
            if isinstance(value, Mapping) and "name" in value:
                low, high = value.get("at_least"), value.get("at_most")
                if low is not None or high is not None:
                    low, high = (None if end is None else float(end) for end in (low, high))
                    yield f"{step.get('name')}/{value['name']}", (low, high)
