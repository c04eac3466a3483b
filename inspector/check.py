"""What can be known of a station's files before anything runs: recipes, models' cards and digests.

A station enters; nothing leaves, or an error that names file, line and field. The supervisor and
the command line import this. Whether a model computes on this machine what it should is found out
by the process that opens it.
"""

from __future__ import annotations

from pathlib import Path

from inspector.approval import approval_of
from inspector.config import ConfigError, Problem, Station
from inspector.line import driver
from inspector.line.changeover import views_at
from inspector.recipe import read
from inspector.store import signing_key
from inspector.tools.card import Card, built_in, find_model, model_bytes
from inspector.tools.onnx import Shelf


class Stock(Shelf):
    """Looks into the file of each model that is asked for, and opens none."""

    def __init__(self, models: Path) -> None:
        super().__init__(models)
        self._seen: dict[str, Card] = {}

    def card(self, ref: str) -> Card:
        """The card of ``name/version``, its model file compared with it. Raises ``ModelError``."""
        if ref not in self._seen:
            card = super().card(ref)
            own = built_in(ref)
            path = own[0] if own else find_model(self.models, ref) / card.file
            model_bytes(path, card, ref)
            self._seen[ref] = card
        return self._seen[ref]


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
