"""A sign of life that is being given is never read as none. (S18)"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from inspector.beat import Beat

BEATING = """
import sys
from pathlib import Path
from inspector.beat import Beat
beat = Beat(Path(sys.argv[1]))
while True:
    beat.beat()
"""


def test_before_the_first_beat_and_after_clearing_there_is_no_age(tmp_path: Path) -> None:
    beat = Beat(tmp_path / "line.beat")
    assert beat.age_s() is None
    beat.beat()
    age = Beat(tmp_path / "line.beat").age_s()
    assert age is not None
    assert age >= 0
    beat.clear()
    assert beat.age_s() is None


def test_whoever_looks_in_the_middle_of_a_beat_sees_the_old_or_the_new_one(tmp_path: Path) -> None:
    """A supervisor that saw half of one would kill a line that is well."""
    path = tmp_path / "line.beat"
    beat = Beat(path)
    beating = subprocess.Popen([sys.executable, "-c", BEATING, str(path)])
    try:
        while beat.age_s() is None:
            assert beating.poll() is None
        ages = [beat.age_s() for _ in range(500_000)]
    finally:
        beating.kill()
        beating.wait()

    assert None not in ages
    assert max(age for age in ages if age is not None) < 60
