"""An output that we do not know: one Python file, which the station file names.

Enters: the path of a file with a function ``open_gate(station)``. Leaves: that function, which
gives a ``Gate``; mostly ``output.timed`` with a function of its own that sets a line. Imports
config and ``line/gate.py``; ``process.py`` and the station's check load it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import cast

from inspector.config import ConfigError, Problem, Station
from inspector.line.gate import Gate

OPENS = "open_gate"
"""The function's name."""


def load(path: Path) -> Callable[[Station], Gate]:
    """What opens the gate of the driver at ``path``. Raises ``ConfigError``."""
    spec = importlib.util.spec_from_file_location(f"output_{path.stem}", path)
    if path.suffix != ".py" or spec is None or spec.loader is None:
        raise _unfit(path, "an output's driver is a Python file, such as relay.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError:
        raise _unfit(path, "no such file; the station file names it as `output.driver`") from None
    except Exception as error:  # somebody else's file may raise anything
        raise _unfit(path, f"cannot be loaded: {type(error).__name__}: {error}") from error
    opens = getattr(module, OPENS, None)
    if not callable(opens):
        raise _unfit(path, f"has no function `{OPENS}(station)`; see docs/outputs.md")
    return _opening(path, opens)


def _opening(path: Path, opens: Callable[[Station], object]) -> Callable[[Station], Gate]:
    methods = [name for name in vars(Gate) if not name.startswith("_")]

    def gate(station: Station) -> Gate:
        try:
            opened = opens(station)
        except Exception as error:
            raise _unfit(path, f"`{OPENS}` has failed: {type(error).__name__}: {error}") from error
        lacking = [name for name in methods if not callable(getattr(opened, name, None))]
        if lacking:
            raise _unfit(path, f"what `{OPENS}` gives is no gate: it lacks {', '.join(lacking)}")
        return cast("Gate", opened)

    return gate


def _unfit(path: Path, why: str) -> ConfigError:
    return ConfigError(path, [Problem(None, "", why)])
