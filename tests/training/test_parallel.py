"""Two processes that train together end with one net, each having seen its half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training import parallel

SCRIPT = """
import sys, torch
from pathlib import Path
import numpy as np
from torch import nn
from training import parallel
from training.fit import Schedule, fit
torch.set_num_threads(1)
x = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32))
y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
seen = []
def batches(epoch):
    order = parallel.share(np.random.default_rng(epoch).permutation(64))
    seen.append(len(order))
    for i in range(0, len(order), 8):
        yield lambda some=order[i:i+8]: [(x[some], y[some])]
def loss(net, batch):
    return (net(batch[0]) - batch[1]).square().mean()
net = nn.Linear(4, 1)
done = fit(net, batches, 64 // parallel.size() // 8, loss, lambda net: 0.0, Path(sys.argv[1]),
           Schedule(epochs=12, rate=0.1, warm_up=2, average=0.5, bf16=False))
weights = net.weight.detach().numpy().round(5).tolist()
# one write, or the two processes' words come between each other
print(f"RESULT {parallel.rank()} {set(seen)} {weights}\\n", end="", flush=True)
parallel.end()
"""


def test_each_takes_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    order = np.arange(11)
    assert parallel.share(order).tolist() == order.tolist()
    monkeypatch.setenv("WORLD_SIZE", "2")
    halves = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        halves.append(parallel.share(order).tolist())
    assert halves == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]


@pytest.mark.slow
def test_two_processes_end_with_one_net(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
        str(script), str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = sorted(line.split(" ", 3)[1:] for line in done.stdout.splitlines() if "RESULT" in line)
    assert [(rank, seen) for rank, seen, _ in told] == [("0", "{32}"), ("1", "{32}")]
    assert told[0][2] == told[1][2]
    assert (tmp_path / "run" / "last.pt").exists()
