"""What the processes of a station say is kept, bounded, and never holds them up. (I5)"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from inspector import logs


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_a_process_keeps_its_newest_lines_in_two_files_of_bounded_size(tmp_path: Path) -> None:
    kept = logs._Kept(tmp_path / "line.jsonl")
    for number in range(logs.WAITING - 1):
        kept.put(json.dumps({"event": f"number {number}", "more": "x" * 1000}))

    last = f"number {logs.WAITING - 2}"
    newest = tmp_path / "line.jsonl"
    until(lambda: newest.exists() and last in newest.read_text())
    kept.close()
    before = tmp_path / "line.jsonl.1"
    assert sorted(path.name for path in tmp_path.iterdir()) == [newest.name, before.name]
    assert max(newest.stat().st_size, before.stat().st_size) <= logs.KEPT_BYTES
    rows = [json.loads(row)["event"] for row in before.read_text().splitlines()]
    assert rows[-1] != "number 0" and len(rows) > 100


def test_a_disk_that_takes_nothing_holds_nobody_up(tmp_path: Path) -> None:
    pipe = tmp_path / "line.jsonl"
    os.mkfifo(pipe)  # nobody reads it: whoever writes to it waits
    kept = logs._Kept(pipe)
    atexit.unregister(kept.close)

    for number in range(logs.WAITING + 50):
        kept.put(f"number {number}")  # comes back: that is what is tested


def test_what_nobody_foresaw_is_said_in_one_line_with_its_traceback(tmp_path: Path) -> None:
    code = "from inspector import logs; logs.run('line', lambda: 1 / 0)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {logs.KEEP: str(tmp_path / "logs")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    (line,) = ended.stderr.splitlines()
    said = json.loads(line)
    assert ended.returncode == 1
    assert (said["event"], said["process"], said["level"]) == ("broke", "line", "critical")
    assert "ZeroDivisionError" in said["exception"]
    assert (tmp_path / "logs" / "line.jsonl").read_text() == f"{line}\n"


LIBRARIES = """
import logging, threading, warnings
from inspector import logs

def main():
    import inspector.tools.code  # its native library lists at the end what is alive still
    logging.getLogger("peer").error("no answer from %s", "plc")
    logging.getLogger("peer").error("%d", "no number")
    warnings.warn("an old way")
    thread = threading.Thread(target=lambda: 1 / 0, name="reader")
    thread.start()
    thread.join()
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("peer").exception("reading")

logs.run("line", main)
"""


def test_what_libraries_say_is_structured_too(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LIBRARIES], capture_output=True, text=True, timeout=60
    )
    rows = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 0 and all(row["process"] == "line" for row in rows)
    said = {row["event"]: row for row in rows}
    assert said["no answer from plc"]["library"] == "peer"
    assert said["no answer from plc"]["level"] == "error"
    assert any("an old way" in event for event in said)
    assert said["thread broke"]["thread"] == "reader"
    assert "ZeroDivisionError" in said["thread broke"]["exception"]
    assert "gone" in said["reading"]["exception"]
    assert len(rows) == 4
