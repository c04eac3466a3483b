"""Several processors at one training: each process takes its share of every epoch (DDP).

``torch.distributed.run`` starts one process per GPU and tells each its rank in the environment;
without that there is one process, and everything here is the plain thing. Imported by ``fit`` and
the fits that prepare batches; ``cli`` starts the group.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from numpy.typing import NDArray
from torch import distributed, nn


def rank() -> int:
    """Which of the processes this is; 0 prepares, measures, saves and exports."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def device() -> torch.device:
    """Where this process computes."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def share(order: NDArray[Any]) -> NDArray[Any]:
    """This process's part of an epoch; all are equally long, so that none waits for ever."""
    each = len(order) // size()
    return order[: each * size()][rank() :: size()]


def together(net: nn.Module) -> nn.Module:
    """``net``, whose gradients are averaged over all processes; itself where there is one."""
    if size() == 1:
        return net
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        torch.cuda.set_device(device())
        return nn.parallel.DistributedDataParallel(net, device_ids=[device().index])
    return nn.parallel.DistributedDataParallel(net)


def wait() -> None:
    """Until all processes have come here."""
    if size() > 1 and distributed.is_initialized():
        distributed.barrier()


def end() -> None:
    """The group parts."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def moved(batch: Any, to: torch.device) -> Any:
    """A batch with its tensors on ``to``."""
    if isinstance(batch, torch.Tensor):
        return batch.to(to, non_blocking=True)
    if isinstance(batch, list | tuple):
        return type(batch)(moved(item, to) for item in batch)
    return batch


def on_every_gpu() -> None:
    """Start this very command once per GPU, where there are several; returns where there are not.

    Called before anything is read; does not return when it has started the group.
    """
    if "RANK" in os.environ or not torch.cuda.is_available() or torch.cuda.device_count() < 2:
        return
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={torch.cuda.device_count()}", "-m", "training.cli", *sys.argv[1:],
    ]  # fmt: skip
    os.execv(sys.executable, command)


def first_only() -> bool:
    """Whether this process goes on to measure and export; the others are done."""
    if rank() == 0:
        return True
    end()
    return False
