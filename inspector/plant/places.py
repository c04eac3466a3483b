"""Where it is kept how far each dialect of MQTT has been told of the line's ledger.

Enters: the station file's ``mqtt`` section. Leaves: files in ``<data>``, until nobody speaks that
dialect any more. ``mqtt.py`` and ``sparkplug.py`` keep them; ``processes.py`` lets them go, for
without a SCADA section no process of theirs runs.
"""

from __future__ import annotations

from pathlib import Path

from inspector.config import Mqtt

PLAIN, SPARKPLUG = "mqtt.cursor", "sparkplug.cursor"
"""Where each dialect's place is kept."""


def forget(data: Path, config: Mqtt | None) -> None:
    """A dialect that is spoken no more begins with what is new, should it be spoken again: nobody
    waits for months of parts before the first one of today."""
    spoken = {PLAIN: config and config.plain, SPARKPLUG: config and config.sparkplug_group}
    for name, spoke in spoken.items():
        if not spoke:
            (data / name).unlink(missing_ok=True)
