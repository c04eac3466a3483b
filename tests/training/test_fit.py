"""Examples are made ahead on threads, in their order, and nothing of it is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.fit import Schedule, _ahead, fit


@pytest.mark.parametrize("threads", [1, 5])
def test_batches_come_in_their_order_whatever_the_threads(threads: int) -> None:
    def made() -> Iterator[Callable[[], list[int]]]:
        return (lambda i=i: [2 * i, 2 * i + 1] for i in range(40))

    assert list(_ahead(made(), threads)) == list(range(80))


def test_the_first_batches_wait_for_no_later_one() -> None:
    may_end = threading.Event()

    def made() -> Iterator[Callable[[], list[int]]]:
        yield lambda: [0]
        for i in range(1, 20):
            yield lambda i=i: [i] if may_end.wait(30) else []

    some = _ahead(made(), 3)
    assert next(some) == 0
    may_end.set()
    assert list(some) == list(range(1, 20))


def test_what_cannot_be_made_is_told_where_it_is_wanted_and_no_thread_stays() -> None:
    before = threading.active_count()

    def made() -> Iterator[Callable[[], list[int]]]:
        yield lambda: [1]
        yield lambda: [1 // 0]
        yield from (lambda: [3] for _ in range(20))

    with pytest.raises(ZeroDivisionError):
        list(_ahead(made(), 2))
    left = _ahead((lambda: [1] for _ in range(50)), 2)
    assert next(left) == 1
    left.close()
    assert threading.active_count() == before


def learn(wide: int, folder: Path) -> nn.Module:
    """A step of a net that is so wide."""

    def batches(epoch: int) -> Iterator[Callable[[], list[Any]]]:
        return iter([lambda: [torch.ones(2, wide)]])

    def loss(net: nn.Module, batch: Any) -> Tensor:
        answer: Tensor = net(batch)
        return answer.square().mean()

    net = nn.Linear(wide, 1)
    return fit(net, batches, 1, loss, lambda net: 0.0, folder, Schedule(epochs=1, bf16=False))


@pytest.mark.parametrize("spoil", [None, b"", b"no checkpoint"])
def test_a_checkpoint_that_is_none_of_this_network_is_told_in_words(
    tmp_path: Path, spoil: bytes | None
) -> None:
    learn(3, tmp_path)
    if spoil is not None:
        (tmp_path / "last.pt").write_bytes(spoil)

    with pytest.raises(ValueError, match=r"last\.pt is no checkpoint of this network .* --run"):
        learn(4, tmp_path)
