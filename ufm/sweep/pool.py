"""Processes of one's own, spawned (a fork after jax has started can hang), which outlive a worker that is killed."""

import multiprocessing
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

from ufm.checks import whole
from ufm.workers import end_with_parent, shared_cores


class SpawnPool(Executor):
    """A `ProcessPoolExecutor` that starts again after it broke; use it in a `with` statement.

    The workers share the cores: each has cores / workers threads for NumPy's products.

    Args:
        workers: processes, >= 1.
    Raises:
        TypeError, ValueError: workers is not a whole number >= 1.
    """

    def __init__(self, workers: int) -> None:
        self._workers = whole(workers, "workers", "SpawnPool", 1, "nobody would work")
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As `Executor.submit`.

        Raises:
            TypeError: what does not pickle, such as a lambda, cannot go to another process.
        """
        try:
            pickle.dumps((fn, args, kwargs))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"SpawnPool: {error}; it cannot go to another process. Define functions at the top of a module, or "
                "run in this process (executor=None)."
            ) from error
        for _ in range(2):
            if self._pool is None:
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(self._workers, context, _start_worker)
            try:
                with shared_cores(self._workers):
                    return self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self._pool = None
        raise BrokenExecutor("SpawnPool: a new pool broke at once. Run in this process (executor=None) to see why.")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `Executor.shutdown`."""
        if self._pool is not None:
            self._pool.shutdown(wait, cancel_futures=cancel_futures)
            self._pool = None


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides when to stop
    end_with_parent()
