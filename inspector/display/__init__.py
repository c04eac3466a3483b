"""What the line shows: each part's picture, overlay and verdict in one message, and its heartbeat.

`status` has what the heartbeat says, `channel` the messages and both their ends, `reduced` how
large pictures are made small. Imports the nouns and the bus; the line, plant and web import it.
"""

from inspector.display.channel import (
    HEADER,
    HEARTBEAT_S,
    PARTS,
    Display,
    DisplayReader,
    Message,
    Topic,
    pack,
    subscriber,
    unpack,
)
from inspector.display.reduced import reduced
from inspector.display.status import Alarm, AlarmCode, Counts, Health, State, Status

__all__ = [
    "HEADER",
    "HEARTBEAT_S",
    "PARTS",
    "Alarm",
    "AlarmCode",
    "Counts",
    "Display",
    "DisplayReader",
    "Health",
    "Message",
    "State",
    "Status",
    "Topic",
    "pack",
    "reduced",
    "subscriber",
    "unpack",
]
