"""A full, a stalled and a nearly full disk under a running station (I2, I5): nothing that is not
recorded passes, *ready* drops, and it all comes back."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inspector.store import free_bytes
from inspector.store.query import History
from inspector.trial import Plan, Trial

SLOW_DISK = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int sync_with(long call, int fd) {
  FILE *file = fopen(getenv("SLOW_DISK"), "r");
  int ms = 0;
  if (file) { if (fscanf(file, "%d", &ms) != 1) ms = 0; fclose(file); }
  if (ms < 0) { errno = EIO; return -1; }
  usleep(1000 * ms);
  return syscall(call, fd);
}
int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }
int fsync(int fd) { return sync_with(SYS_fsync, fd); }
"""
RATE, TRAVEL_S = 20.0, 0.5
ZONE = int(RATE * TRAVEL_S)
ROOM_MB = 400


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that makes each fsync as slow as the file named by SLOW_DISK says, in ms."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("STALLED DISK NOT TESTED: there is no C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "slow.c").write_text(SLOW_DISK)
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", folder / "slow.so", folder / "slow.c"], check=True
    )
    return folder / "slow.so"


@pytest.fixture(scope="module")
def squeezed(
    shim: Path,
    coded: Any,
    plan: Callable[..., Plan],
    watch: Callable[[Trial], Any],
    audit: Callable[[Trial], Any],
) -> Any:
    """A disk that is full, then stalls, then fails, then is nearly full; each time it recovers."""
    passed: dict[str, int] = {}
    told = shim.with_name("told")
    told.write_text("0")
    free_mb = free_bytes(shim) >> 20
    limits = {"store.reserve_mb": free_mb - ROOM_MB, "store.stop_mb": free_mb - ROOM_MB}
    trial = Trial(plan(coded, rate=RATE, travel_s=TRAVEL_S, station=limits))
    os.environ |= {"LD_PRELOAD": str(shim), "SLOW_DISK": str(told)}
    try:
        trial.start()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["SLOW_DISK"]
    try:
        seen = watch(trial)
        seen.passes()

        def through(name: str) -> None:
            """How many pass once the gate has seen the last part from before the trouble."""
            seen.go_on(ZONE + 5)
            before = trial.now()["gate_passed"]
            seen.go_on(ZONE)
            passed[name] = trial.now()["gate_passed"] - before

        line = trial.pids()["line"]
        # The line's log is a file like any other: it cannot be written either.
        resource.prlimit(line, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        through("full")
        assert trial.pids()["line"] == line, "the line died of a full disk"
        resource.prlimit(line, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        seen.passes()
        told.write_text("4000")
        through("stalled")
        told.write_text("0")
        seen.passes()
        told.write_text("-1")
        through("failing")
        told.write_text("0")
        seen.passes()
        assert trial.pids()["line"] == line, "the line died of its disk"
        ballast = trial.plan.folder / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, 2 * ROOM_MB << 20)
        seen.until(lambda: not trial.now()["station_ready"], "the line does not ask for its room")
        through("nearly full")
        ballast.unlink()
        seen.passes()
        seen.finish()
        yield audit(trial), passed
    finally:
        trial.stop()


@pytest.mark.parametrize("trouble", ["full", "stalled", "failing", "nearly full"])
def test_nothing_passes_while_nothing_can_be_recorded(squeezed: Any, trouble: str) -> None:
    _, passed = squeezed
    assert passed[trouble] == 0, passed


def test_the_line_judges_every_part_all_the_while(squeezed: Any, coded: Any) -> None:
    auditor, _ = squeezed
    auditor.check(coded)


def test_what_was_wrong_with_the_disk_is_an_alarm(squeezed: Any) -> None:
    auditor, _ = squeezed
    with History(auditor.trial.data) as history:
        codes = {str(e.body["code"]) for e in history.events("alarm", 10_000)}
    assert {"disk_full", "disk_slow"} <= codes, codes
