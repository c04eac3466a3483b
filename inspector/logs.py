"""How every process writes its log: one JSON object a line on standard error, times in UTC.

Where the supervisor asks for it, a process keeps its newest lines in a file too, for the system
page (``inspector/web/logtail.py``). Imports nothing of ours. Nothing is logged per part: counters
and the ledger are for that.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from structlog.typing import EventDict

REFUSED = 2
"""Exit status of a process that said in one line why it cannot run."""
KEEP = "INSPECTOR_LOGS"
"""Environment variable with the folder in which processes keep their newest lines."""
KEPT_BYTES = 256 << 10
"""Of each of a process's two files: ``<process>.jsonl`` and the one before it, ``….jsonl.1``."""
LAST_S = 2.0
"""How long a process that ends waits for the disk to take what it said last."""
WAITING = 1000
"""Lines that wait for a stalled disk; those that come then are on standard error alone."""


def folder(run: Path) -> Path:
    """Where the processes of a station keep their newest lines."""
    return run / "logs"


def configure(process: str = "station", level: int = logging.INFO) -> None:
    """Structured lines on standard error, each with the process's name, from whatever thread."""

    def named(logger: object, method: str, event: EventDict) -> EventDict:
        return {"process": process, **event}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            named,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(_VOICE),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    if os.environ.get(KEEP):
        keep(Path(os.environ[KEEP]), process)


def keep(folder: Path, process: str) -> None:
    """Keep the newest lines of this process in ``folder`` from now on."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _VOICE.kept = _Kept(folder / f"{process}.jsonl")


def run(process: str, main: Callable[[], object]) -> None:
    """``main`` as a process of the station. What one of our rooms or the system refuses is one
    line and exit status ``REFUSED``; a traceback is kept for what nobody foresaw."""
    atexit.register(_say_no_more)  # the first to register is the last to be called
    configure(process)
    hear_others()
    call_thread(process)
    try:
        main()
    except Exception as error:
        if not (type(error).__module__.startswith("inspector.") or isinstance(error, OSError)):
            structlog.get_logger().critical("broke", why=repr(error), exc_info=True)
            sys.exit(1)
        structlog.get_logger().critical("cannot run", why=str(error))
        sys.exit(REFUSED)


def hear_others() -> None:
    """What libraries log and warn of, and what a thread dies of, become lines like all others."""
    logging.getLogger().addHandler(_Foreign())
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable


def call_thread(name: str, thread: int | None = None) -> None:
    """The kernel's name of a thread, the calling one by default: what ``top -H`` shows. Threads
    that it starts afterwards inherit the name."""
    number = threading.get_native_id() if thread is None else thread
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{number}/comm").write_text(name[:15])


class _Foreign(logging.Handler):
    """Python's own logging, of which ours makes no use."""

    def emit(self, record: logging.LogRecord) -> None:
        log, level = structlog.get_logger(), record.levelno
        say = log.error if level >= logging.ERROR else log.warning
        told = {"exc_info": record.exc_info} if record.exc_info else {}
        with contextlib.suppress(Exception):  # a library's wrong arguments are no trouble of ours
            say(record.getMessage(), library=record.name, **told)


def _thread_ended(given: threading.ExceptHookArgs) -> None:
    name = given.thread.name if given.thread is not None else ""
    structlog.get_logger().critical("thread broke", thread=name, exc_info=given.exc_value)


def _unraisable(given: sys.UnraisableHookArgs) -> None:
    what = given.err_msg or "exception ignored"
    structlog.get_logger().error(what, where=repr(given.object), exc_info=given.exc_value)


def _say_no_more() -> None:
    """Native libraries print while Python takes itself apart: nanobind lists what still lives."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, 2)


class _Voice:
    """Standard error, straight to the system. A log that cannot be written, because its disk is
    full or its reader is gone, must not end the process that writes it."""

    kept: _Kept | None = None

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            os.write(2, text.encode("utf-8", "backslashreplace"))
        if self.kept is not None and text != "\n":
            self.kept.put(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


class _Kept:
    """The newest lines of a process in two files of bounded size. A thread of its own writes them:
    a disk that stalls must not hold up a line that has something to say."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: queue.Queue[str | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, line: str) -> None:
        """Have ``line`` written; never waits."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line)

    def close(self) -> None:
        """What a process says last is kept too, where the disk takes it."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(None)
            self._thread.join(LAST_S)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            with contextlib.suppress(OSError):
                self._append(line.encode("utf-8", "backslashreplace") + b"\n")

    def _append(self, line: bytes) -> None:
        if self._path.exists() and self._path.stat().st_size + len(line) > KEPT_BYTES:
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        with self._path.open("ab") as file:
            file.write(line)


_VOICE = _Voice()
