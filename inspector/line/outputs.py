"""Eight outputs of the PLC that the station may switch, each for a while. No I/O.

Enters: an output, for how long. Leaves: the bits of the station block. They are for acting on the
process (a print head's cleaning, a diverter, a beacon), never for safety: they rest at 0, they drop
with *ready*'s heartbeat, and each ends by itself. Imports registers; the line imports it.
"""

from __future__ import annotations

from inspector.registers import OUTPUTS, StationBit, output_bit

LONGEST_S = 3600.0


class Outputs:
    """Which outputs are on, and until when."""

    def __init__(self) -> None:
        self._until_ns: dict[int, int] = {}

    def switch(self, number: int, seconds: float, at_ns: int) -> None:
        """Output ``number`` (from 1) on for so long; 0 is off at once. Raises ``ValueError``."""
        if not 1 <= number <= OUTPUTS:
            raise ValueError(f"outputs are numbered from 1 to {OUTPUTS}")
        if not 0 <= seconds <= LONGEST_S:
            raise ValueError(f"an output is on for 0 to {LONGEST_S:g} seconds")
        if seconds:
            self._until_ns[number] = at_ns + int(seconds * 1e9)
        else:
            self._until_ns.pop(number, None)

    def bits(self, at_ns: int) -> StationBit:
        """Those that are on."""
        bits = StationBit(0)
        if self._until_ns:
            for number, until_ns in list(self._until_ns.items()):
                if at_ns >= until_ns:
                    del self._until_ns[number]
                else:
                    bits |= output_bit(number)
        return bits
