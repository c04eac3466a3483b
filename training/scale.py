"""Many independent jobs: a function and its arguments enter, results in their order leave.

On a Ray cluster where an address is given (``auto``, ``local`` or ``ray://…``), else in this
process: Ray has the scheduler, this has none. Folds of a cross-validation, trials over seeds and
rates, and portions of a backtest go through here. Imported by ``backtest`` and ``trials``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class NoCluster(ValueError):
    """Ray is asked for and is not installed, or its cluster does not answer."""


def spread(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    ray: str = "",
    told: Callable[[int, int], None] = lambda done, all_of: None,
) -> list[Result]:
    """``[work(job) for job in jobs]``, on the cluster ``ray`` if it is named.

    ``told`` hears how many are done. Raises ``NoCluster``, or what ``work`` raised.
    """
    if not ray:
        results = []
        for number, job in enumerate(jobs, 1):
            results.append(work(job))
            told(number, len(jobs))
        return results
    with _cluster(ray) as cluster:
        remote = cluster.remote(work)
        waiting = [remote.remote(job) for job in jobs]
        left = list(waiting)
        while left:
            _, left = cluster.wait(left, num_returns=1)
            told(len(jobs) - len(left), len(jobs))
        found: list[Result] = cluster.get(waiting)
        return found


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    try:
        import ray
    except ImportError:
        raise NoCluster(
            "a Ray address is given but Ray is not installed: `pip install inspector[scale]`, or "
            "leave it out"
        ) from None
    mine = not ray.is_initialized()
    if mine:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            if address.startswith("local"):
                _, _, workers = address.partition(":")
                ray.init(
                    num_cpus=int(workers or 2), include_dashboard=False, log_to_driver=False,
                    configure_logging=False,
                )  # fmt: skip
            else:
                ray.init(address=address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise NoCluster(f"Ray at {address!r} does not answer: {error}") from None
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()
