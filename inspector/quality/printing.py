"""A batch's report as a PDF, made by a process of its own, niced, a few at a time.

Enters: a station, a batch's id, a language. Leaves: the bytes of the PDF that ``inspector report``
writes. No PDF runs where answers are due in milliseconds, nor beside people's pages: the MES's
requests and the pages import this.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from inspector.config import Station
from inspector.quality.errors import QualityError

TOGETHER = 2
"""Reports that are made at once; whoever asks for more comes again."""
LIMIT_S = 300.0
"""A batch of a million parts takes a minute; with its ledger verified, some."""


class Busy(QualityError):
    """So many reports are being made that another has to wait."""


class TooLong(QualityError):
    """It was not made in time."""


class Press:
    """Where a station's reports are made; belongs to one event loop."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._making = 0

    async def report(self, batch: str, language: str, verify: bool = False) -> bytes:
        """The PDF of ``batch``.

        Raises:
            Busy, TooLong: try again later.
            QualityError: there is none; it says why.
        """
        if self._making >= TOGETHER:
            raise Busy("other reports are being made; try again in some seconds")
        self._making += 1
        try:
            return await self._make(batch, language, verify)
        finally:
            self._making -= 1

    def words(self, batch: str, out: Path, language: str, verify: bool) -> list[str]:
        """What ``inspector.printed report`` is called with: the station's plan, and its recipes for
        their tolerances and words."""
        station = self._station
        plan = station.quality.model_dump_json() if station.quality else ""
        return [
            str(station.data), batch, str(out), language, "verify" if verify else "-",
            station.site, station.line, plan, *map(str, station.recipes),
        ]  # fmt: skip

    async def _make(self, batch: str, language: str, verify: bool) -> bytes:
        with tempfile.TemporaryDirectory(prefix="inspector-report-") as folder:
            out = Path(folder) / "report.pdf"
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "inspector.printed", "report",
                *self.words(batch, out, language, verify),
                stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                _, said = await asyncio.wait_for(process.communicate(), LIMIT_S)
            except TimeoutError:
                raise TooLong(f"not made within {LIMIT_S:g} s") from None
            finally:
                if process.returncode is None:  # too long, or nobody waits for it any more
                    process.kill()
                    await process.wait()
            if process.returncode:
                raise QualityError(said.decode("utf-8", "replace").strip()[-300:])
            return await asyncio.to_thread(out.read_bytes)


def file_name(batch: str) -> str:
    """What the file of a batch's report is called wherever it is saved."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in batch if c.isascii())
    return f"{name or 'batch'}.pdf"
