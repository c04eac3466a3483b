"""Releases from the centre that the station reports to, over its own enrolled connection.

Enters: a station that has enrolled, a channel. Leaves: what `channel` gives, and files. Imports
sync's link and ``channel``; ``process`` imports this.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from inspector.config import Station
from inspector.release.bundle import ReleaseRefused
from inspector.release.channel import Pointer, keep, pointers
from inspector.store import signing_key
from inspector.sync.centre import Link
from inspector.sync.enrol import SyncError, enrolled, shown_by

CENTRE = "centre"
"""What a station file calls this source."""


class FromCentre:
    """One station's way to its centre's releases; the session is opened when it is needed."""

    def __init__(self, station: Station) -> None:
        """Raises ``ReleaseRefused`` where the station has no centre, or its certificates no use."""
        try:
            sync, centre = station.sync, enrolled(station.data)
            if sync is None or centre is None:
                raise ReleaseRefused(
                    CENTRE,
                    "the station has none yet; run `inspector enrol`, and name it under `sync`",
                )
            self._link = Link(
                replace(centre, hub=sync.hub), station.station, signing_key(station.data),
                ca=sync.ca, shown=shown_by(sync),
            )  # fmt: skip
        except SyncError as error:
            raise ReleaseRefused(CENTRE, str(error)) from None

    def newest(self, channel: str) -> list[Pointer]:
        """The newest release of each recipe on ``channel``. Raises ``ReleaseRefused``."""
        try:
            return pointers(self._link.ask("GET", f"/api/v1/channels/{channel}"), CENTRE)
        except SyncError as error:
            raise ReleaseRefused(channel, str(error)) from None

    def fetch(
        self, pointer: Pointer, folder: Path, beat: Callable[[], None] = lambda: None
    ) -> Path:
        """The release's file, in ``folder``; ``beat`` is called as it comes. Raises
        ``ReleaseRefused``."""
        try:
            pieces = self._link.stream(f"/api/v1/releases/{pointer.digest}")
            return keep(pieces, pointer, folder, beat)
        except SyncError as error:
            raise ReleaseRefused(pointer.title, str(error)) from None

    def close(self) -> None:
        """Let go of the connection."""
        self._link.close()
