"""What can be known of a station's files before anything runs: recipes, models' cards and digests.

A station enters; nothing leaves, or an error that names file, line and field. The supervisor and
the command line import this. Whether a model computes on this machine what it should is found out
by the process that opens it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnxruntime

from inspector.approval import approval_of
from inspector.config import ConfigError, Problem, Station
from inspector.line import driver
from inspector.line.changeover import views_at
from inspector.recipe import read
from inspector.store import signing_key
from inspector.tools.card import Card, model_bytes, model_file
from inspector.tools.onnx import Shelf
from inspector.yamlfile import Settings, line_of


class Stock(Shelf):
    """Looks into the file of each model that is asked for, and opens none."""

    def __init__(self, models: Path) -> None:
        super().__init__(models)
        self._seen: dict[str, Card] = {}

    def card(self, ref: str) -> Card:
        """The card of ``name/version``, its model file compared with it. Raises ``ModelError``."""
        if ref not in self._seen:
            path, card = model_file(self.models, ref)
            model_bytes(path, card, ref)
            self._seen[ref] = card
        return self._seen[ref]


def check_named(path: Path, station: Station) -> None:
    """What the station file ``path`` names beside its recipes is there. Not asked before a line
    runs: it goes on without its pages where a certificate has gone.

    Raises ``ConfigError`` with everything that is missing.
    """
    found = [
        Problem(line_of(path, place), ".".join(map(str, place)), what)
        for place, what in _missing(station)
    ]
    if found:
        raise ConfigError(path, found)


Place = tuple[str | int, ...]


def _missing(station: Station) -> Iterator[tuple[Place, str]]:
    known = onnxruntime.get_available_providers()
    for index, provider in enumerate(station.providers):
        if provider not in known:
            what = f"`{provider}` is not in this onnxruntime; it has {', '.join(known)}"
            yield ("providers", index), what
    for place, named in _named(station):
        if place[-1] == "folder":
            if not named.is_dir():
                yield place, f"{named} is no folder"
        elif not named.exists() or named.is_dir():
            yield place, f"{named}: no such file"


def _named(settings: Settings, at: Place = ()) -> Iterator[tuple[Place, Path]]:
    """Every path in ``settings`` but those that are made here or looked into by ``check``."""
    for name in type(settings).model_fields:
        if (*at, name) in _ELSEWHERE:
            continue
        value = getattr(settings, name)
        values = enumerate(value) if isinstance(value, list | tuple) else ((None, value),)
        for index, one in values:
            place = (*at, name) if index is None else (*at, name, index)
            if isinstance(one, Path):
                yield place, one
            elif isinstance(one, Settings):
                yield from _named(one, place)


_ELSEWHERE: set[Place] = {("data",), ("models",), ("recipes",), ("output", "driver")}


def check(station: Station) -> None:
    """Read every recipe of ``station``, and the model files that they name.

    The driver of its output is loaded, and opens nothing.

    Raises ``ConfigError``, or ``StoreError`` where approvals are needed and the key is not there.
    """
    if station.output is not None and station.output.driver is not None:
        driver.load(station.output.driver)
    stock = Stock(station.models)
    cameras = [camera.name for camera in station.cameras]
    for path in station.recipes:
        recipe = read(path, stock)
        try:
            views_at(recipe.name, recipe.views, cameras)
        except ValueError as error:
            raise ConfigError(path, [Problem(None, "views", str(error))]) from None
        if station.require_approval:
            approval_of(path, signing_key(station.data).public_key(), station.data)
