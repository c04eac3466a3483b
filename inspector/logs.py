"""How every process writes its log: one JSON object a line on standard error, times in UTC.

Imports nothing of ours. Nothing is logged per part: counters and the ledger are for that.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

REFUSED = 2
"""Exit status of a process that said in one line why it cannot run."""


def configure(process: str = "station", level: int = logging.INFO) -> None:
    """Structured lines on standard error, each with the process's name."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_Voice()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


def run(process: str, main: Callable[[], object]) -> None:
    """``main`` as a process of the station. What one of our rooms or the system refuses is one
    line and exit status ``REFUSED``; a traceback is kept for what nobody foresaw."""
    configure(process)
    call_thread(process)
    try:
        main()
    except Exception as error:
        if not (type(error).__module__.startswith("inspector.") or isinstance(error, OSError)):
            raise
        structlog.get_logger().critical("cannot run", why=str(error))
        sys.exit(REFUSED)


def call_thread(name: str, thread: int | None = None) -> None:
    """The kernel's name of a thread, the calling one by default: what ``top -H`` shows. Threads
    that it starts afterwards inherit the name."""
    number = threading.get_native_id() if thread is None else thread
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{number}/comm").write_text(name[:15])


class _Voice:
    """Standard error, straight to the system. A log that cannot be written, because its disk is
    full or its reader is gone, must not end the process that writes it."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(2, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
