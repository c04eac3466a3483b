"""Training: a stream of examples enters, a checkpoint that can be resumed leaves.

One loop for every network: examples are prepared on threads while the net learns; the weights
that are measured and kept are their moving average. Imported by ``cli`` and the models' scripts.
"""

from __future__ import annotations

import copy
import math
import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from training import parallel
from training.tracking import CHECKPOINT

console = Console()
Net = TypeVar("Net", bound=nn.Module)
Tell = Callable[[int, dict[str, float]], None]
Batches = Callable[[int], Iterator[Callable[[], list[Any]]]]
"""Of an epoch's number: functions that each make the next batches, mostly one, on any thread and so
from a seed of their own."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn."""

    epochs: int = 30
    rate: float = 2e-3
    """Peak learning rate of AdamW, reached after the warm-up, then a half cosine to 1 %."""
    warm_up: int = 100
    """Steps."""
    decay: float = 0.02
    """Weight decay."""
    average: float = 0.998
    """How slowly the moving average follows."""
    good_enough: float = math.inf
    """Stop when the measure reaches this."""
    measure_every: int = 1
    """Epochs between measurements."""
    seed: int = 0
    bf16: bool = True
    """Multiply in bfloat16 where the net allows: 1.5 times faster on a CPU with AVX512-BF16."""


def seed_everything(seed: int) -> None:
    """Fix every generator that training draws from."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def fit(
    net: Net,
    batches: Batches,
    steps: int,
    loss: Callable[[nn.Module, Any], Tensor],
    measure: Callable[[nn.Module], float],
    folder: Path,
    schedule: Schedule,
    tell: Tell = lambda step, figures: None,
) -> Net:
    """Train ``net`` and return its average, in eval mode.

    ``batches(epoch)`` yields what makes ``steps`` batches; ``loss(net, batch)`` is minimised;
    ``measure`` gets the averaged net in eval mode and returns a figure that should grow: it may
    stop the training (``good_enough``) but never picks an epoch, or the held-out pictures would
    choose the weights that they then measure. ``folder/last.pt`` is written after each epoch, and
    resumed from (``ValueError`` where it is of another network). ``tell`` gets each epoch's loss
    and measure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seed_everything(schedule.seed)
    here = parallel.device()
    net = net.to(here, memory_format=torch.channels_last)
    average = copy.deepcopy(net)
    bare = [p for p in net.parameters() if p.ndim < 2]
    heavy = [p for p in net.parameters() if p.ndim >= 2]
    optimiser = torch.optim.AdamW(
        [{"params": heavy, "weight_decay": schedule.decay}, {"params": bare, "weight_decay": 0.0}],
        lr=schedule.rate,
    )
    start, figure = 0, -math.inf
    last = folder / CHECKPOINT
    if last.exists():
        try:
            state = torch.load(last, weights_only=True, map_location=here)
            net.load_state_dict(state["net"])
            average.load_state_dict(state["average"])
            optimiser.load_state_dict(state["optimiser"])
            start, figure = state["epoch"], state["figure"]
        except (RuntimeError, UnpicklingError, EOFError, KeyError, TypeError) as error:
            why = (str(error) or "it is empty").splitlines()[0].rstrip(":")
            raise ValueError(
                f"{last} is no checkpoint of this network ({why}): give "
                "another --run, or remove it to begin anew"
            ) from None
    total = schedule.epochs * steps
    joint = parallel.together(net)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console, disable=not console.is_terminal or parallel.rank() > 0,
    )  # fmt: skip
    with bar:
        task = bar.add_task("training", total=total, completed=start * steps)
        for epoch in range(start, schedule.epochs):
            if figure >= schedule.good_enough:
                break
            net.train()
            sums = 0.0
            for i, batch in enumerate(_ahead(batches(epoch), _preparers(here))):
                step = epoch * steps + i
                for group in optimiser.param_groups:
                    group["lr"] = schedule.rate * _pace(step, total, schedule.warm_up)
                with torch.autocast(here.type, torch.bfloat16, enabled=schedule.bf16):
                    value = loss(joint, parallel.moved(batch, here))
                optimiser.zero_grad()
                value.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 10.0)
                optimiser.step()
                _follow(average, net, min(schedule.average, (1 + step) / (10 + step)))
                sums += float(value.detach())
                words = f"epoch {epoch + 1} loss {sums / (i + 1):.3f}"
                bar.update(task, advance=1, description=words)
            if parallel.rank() > 0:
                parallel.wait()
                continue
            if (epoch + 1) % schedule.measure_every == 0 or epoch + 1 == schedule.epochs:
                figure = measure(_on_cpu(average))
                console.print(f"epoch {epoch + 1}: loss {sums / steps:.4f}, measure {figure:.4f}")
            state = {
                "net": net.state_dict(), "average": average.state_dict(),
                "optimiser": optimiser.state_dict(), "epoch": epoch + 1, "figure": figure,
            }  # fmt: skip
            _save(state, last)
            tell(epoch + 1, {"loss": sums / max(steps, 1), "measure": figure})
            parallel.wait()
    return _on_cpu(average)


def _on_cpu(net: Net) -> Net:
    """``net`` in eval mode where it is measured and exported: itself, or a copy of it."""
    if next(net.parameters()).device.type == "cpu":
        return net.eval()
    return copy.deepcopy(net).cpu().eval()


def _save(state: dict[str, Any], path: Path) -> None:
    """Replace ``path`` whole, so that a training killed while saving can still be resumed."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _pace(step: int, total: int, warm_up: int) -> float:
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(total - warm_up, 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def _follow(average: nn.Module, net: nn.Module, keep: float) -> None:
    for slow, fast in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
        if slow.dtype.is_floating_point:
            slow.mul_(keep).add_(fast, alpha=1 - keep)
        else:
            slow.copy_(fast)


def _preparers(here: torch.device) -> int:
    """Threads that prepare examples: one where the net itself computes on the cores; beside a GPU,
    which waits for them, all of this process's share."""
    if here.type == "cpu":
        return 1
    return max(1, len(os.sched_getaffinity(0)) // parallel.size() - 1)


def _ahead(batches: Iterator[Callable[[], list[Any]]], threads: int) -> Iterator[Any]:
    """The batches in their order, made ahead on ``threads``: OpenCV lets go of Python's lock."""
    ready: deque[Future[list[Any]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for some in batches:
                ready.append(pool.submit(some))
                if len(ready) > threads + 3:
                    yield from ready.popleft().result()
            while ready:
                yield from ready.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
