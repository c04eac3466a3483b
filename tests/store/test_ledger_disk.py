"""Full, slow and failing disks and `kill -9`: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.store import History, LineLedger, verify

# For each line it reads, a fresh process that adds parts from the last one on and says which are
# durable, until it is killed. One nursery imports everything once; its children are the writers.
NURSERY = """
import os, sys
from inspector.store import LineLedger
from inspector.store.bench import sample_gate, sample_verdict

def say(word, number):
    os.write(1, f"{word} {number}\\n".encode())  # one call: a kill cannot cut a line in two

def write(folder):
    ledger = LineLedger.open(folder, station="s1", checkpoint_records=25)
    sequence = ledger.last_sequence("plc-1") or 0
    say("resumed", sequence)
    while True:
        for _ in range(1 + sequence % 4):
            sequence += 1
            verdict = sample_verdict(sequence)
            ledger.add_verdict(verdict)
            ledger.add_gate(sample_gate(verdict))
        if sequence % 8:
            ledger.commit()  # without a pace: a kill shall find it at work
        else:
            ledger.commit_soon().result()
        say("durable", sequence)

for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        write(sys.argv[1])
    say("born", child)
    _, status = os.waitpid(child, 0)
    say("died", os.waitstatus_to_exitcode(status))
"""

# Fills whatever limits the disk, then gets room again, and says what happened.
FILLER = """
import os, resource, sys
from pathlib import Path
from inspector.store import LineLedger, StoreFull, verify
from inspector.store.bench import sample_gate, sample_verdict
data, how = Path(sys.argv[1]), sys.argv[2]
ballast = data / "ballast"
if how == "disk":
    data.mkdir(exist_ok=True)
    ballast.write_bytes(bytes(1 << 20))
ledger = LineLedger.open(data, station="s1", idle_s=30)
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
acknowledged, sequence, refused = 0, 0, 0
while refused < 3 and sequence < 100_000:
    for _ in range(20):
        sequence += 1
        verdict = sample_verdict(sequence)
        ledger.add_verdict(verdict)
        ledger.add_gate(sample_gate(verdict))
    try:
        ledger.commit()
        assert not refused
        acknowledged = sequence
    except StoreFull as error:
        refused += 1
        assert "no space" in str(error) and ledger.trouble == str(error), "one word for one thing"
assert refused == 3 and acknowledged, (refused, acknowledged)
assert ledger.last_sequence("plc-1") == sequence
before = verify(data)
assert before.ok and before.verdicts == acknowledged, str(before)
if how == "disk":
    ballast.unlink()
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.commit()
assert ledger.waiting == 0
ledger.close()
after = verify(data)
assert after.ok and after.verdicts == sequence, str(after)
print("ok", acknowledged, sequence)
"""

# A disk that has been full for so long that much waits, and parts that come all the while.
WAITING = """
import resource, sys, time
from inspector.store import LineLedger, StoreFull, verify
from inspector.store.bench import sample_gate, sample_verdict
ledger = LineLedger.open(sys.argv[1], station="s1")
resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
sequence = 0
def part():
    global sequence
    sequence += 1
    verdict = sample_verdict(sequence)
    ledger.add_verdict(verdict)
    ledger.add_gate(sample_gate(verdict))
    return ledger.commit_soon()
refused = [part() for _ in range(4_000)]
used, began = time.process_time(), time.monotonic()
while time.monotonic() < began + 0.8:
    refused.append(part())
    time.sleep(0.02)
share = (time.process_time() - used) / (time.monotonic() - began)
assert isinstance(refused[0].exception(), StoreFull) and ledger.waiting > 8_000
assert ledger.full
assert share < 0.2, f"{share:.2f} of a processor for a disk that takes nothing"
assert isinstance(part().exception(1), StoreFull), "who asks is told"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
part().result(5)
assert ledger.waiting == 0 and not ledger.trouble and not ledger.full
def took():
    began = time.monotonic()
    part().result(5)
    return time.monotonic() - began
assert min(took() for _ in range(5)) < 0.05, "a disk that takes records is not left alone"
ledger.close()
after = verify(sys.argv[1])
assert after.ok and after.verdicts == sequence, str(after)
print("ok")
"""

# A disk that is slow or fails when told so through a file: the calls that SQLite makes to it.
SLOW_DISK = """
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static int told(void) {
  FILE *file = fopen(getenv("SLOW_DISK"), "r");
  int ms = 0;
  if (file) { if (fscanf(file, "%d", &ms) != 1) ms = 0; fclose(file); }
  return ms;
}
static int sync_with(long call, int fd) {
  int ms;
  for (int waited = 0; (ms = told()) > waited; waited += 10) usleep(10000);
  if (ms < 0) { errno = EIO; return -1; }
  return syscall(call, fd);
}
int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }
int fsync(int fd) { return sync_with(SYS_fsync, fd); }
"""

STALLED = """
import sys
from pathlib import Path
from inspector.store import LineLedger, StoreError, StoreStalled, verify
from inspector.store.bench import sample_verdict
data, disk = Path(sys.argv[1]), Path(sys.argv[2])
ledger = LineLedger.open(data, station="s1", idle_s=30)
ledger.add_verdict(sample_verdict(1))
ledger.commit(30)
disk.write_text("600000")  # until something else is told
ledger.add_verdict(sample_verdict(2))
try:
    ledger.commit(0.05)
    raise SystemExit("a stalled disk went unnoticed")
except StoreStalled:
    assert ledger.waiting == 1, "it came back before the disk"
for sequence in range(3, 50):  # the line goes on adding while the disk stalls
    ledger.add_verdict(sample_verdict(sequence))
assert ledger.waiting == 48, "it waited for the disk"
disk.write_text("0")
assert ledger.commit(30) == ledger.size and ledger.waiting == 0
disk.write_text("-1")
ledger.add_verdict(sample_verdict(50))
for _ in range(3):
    try:
        ledger.commit(30)
        raise SystemExit("a failing disk went unnoticed")
    except StoreStalled:
        raise
    except StoreError as error:
        assert "SQLITE_IOERR" in str(error), error
disk.write_text("0")
ledger.commit(30)
ledger.close()
report = verify(data)
assert report.ok and report.verdicts == 50, str(report)
print("ok")
"""


def _run(
    program: str, *arguments: str, before: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
        check=False,
    )


def test_a_file_size_limit_is_a_full_store_that_works_again_afterwards(tmp_path: Path) -> None:
    done = _run(FILLER, str(tmp_path), "limit")
    assert done.stdout.startswith("ok"), done.stdout + done.stderr


def test_a_small_disk_that_runs_full_works_again_when_there_is_room(tmp_path: Path) -> None:
    mount = (
        "unshare",
        "-Urm",
        "sh",
        "-c",
        f'mount -t tmpfs -o size=3m tmpfs "{tmp_path}" && exec "$@"',
        "sh",
    )
    allowed = shutil.which("unshare") and (
        subprocess.run([*mount, "true"], capture_output=True, check=False).returncode == 0
    )
    if not allowed:
        pytest.skip("SMALL DISK NOT TESTED: this machine lets no ordinary user mount a tmpfs")
    done = _run(FILLER, str(tmp_path / "data"), "disk", before=mount)
    assert done.stdout.startswith("ok"), done.stdout + done.stderr


def test_a_full_disk_costs_the_line_no_processor_however_much_waits(tmp_path: Path) -> None:
    """Each part asks for its commit, and each try used to write all that waits."""
    done = _run(WAITING, str(tmp_path))
    assert done.stdout == "ok\n", done.stdout + done.stderr


def test_a_disk_that_stalls_or_fails_costs_time_and_no_record(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("SLOW DISK NOT TESTED: there is no C compiler")
    source, shim, told = tmp_path / "slow.c", tmp_path / "slow.so", tmp_path / "told"
    source.write_text(SLOW_DISK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source], check=True)
    done = _run(
        STALLED, str(tmp_path / "data"), str(told), LD_PRELOAD=str(shim), SLOW_DISK=str(told)
    )
    assert done.stdout == "ok\n", done.stdout + done.stderr


def _kill_often(data: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    acknowledged = 0
    with subprocess.Popen(
        [sys.executable, "-u", "-c", NURSERY, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as nursery:
        assert nursery.stdin is not None and nursery.stdout is not None
        for _ in range(kills):
            nursery.stdin.write("\n")
            nursery.stdin.flush()
            child, left, killed = 0, chance.randrange(1, 30), False
            while True:
                word, number = nursery.stdout.readline().split()
                if word == "born":
                    child = int(number)
                elif word == "died":
                    assert int(number) == -signal.SIGKILL
                    break
                else:
                    assert int(number) >= acknowledged, "something acknowledged was lost"
                    acknowledged = int(number)
                    left -= 1
                if child and left <= 0 and not killed:
                    killed = True
                    # somewhere between two commits, or inside one
                    signal.sigtimedwait([], chance.random() * 0.012)
                    os.kill(child, signal.SIGKILL)
        nursery.stdin.close()
    report = verify(data)
    assert report.ok, str(report)
    with LineLedger.open(data, station="s1") as ledger:
        last = ledger.last_sequence("plc-1")
        assert last is not None and last >= acknowledged
        assert ledger.missing("plc-1", last) == []
    with History(data) as history:
        assert sum(history.counts().values()) == last == report.verdicts


def test_kill_9_loses_nothing_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    _kill_often(tmp_path, kills=6, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_kill_9_a_hundred_times(tmp_path: Path, seed: int) -> None:
    _kill_often(tmp_path, kills=25, seed=100 + seed)
