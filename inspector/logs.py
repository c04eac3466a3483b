"""How every process writes its log: one JSON object a line on standard error, times in UTC.

Imports nothing of ours. Nothing is logged per part: counters and the ledger are for that.
"""

from __future__ import annotations

import logging
import sys

import structlog


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
