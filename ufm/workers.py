"""What spawned processes share (a fork after jax has started can hang): cores, and the end of their parent."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

THREADS = "OPENBLAS_NUM_THREADS"  # read by NumPy when it is loaded


@contextmanager
def shared_cores(workers: int) -> Iterator[None]:
    """Processes that begin here have cores / workers threads for NumPy's products, if the environment names no number.

    On matrices as small as these, more threads than cores wait for each other for longer than they work.
    """
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = str(max(1, (os.cpu_count() or 1) // workers))
    try:
        yield
    finally:
        del os.environ[THREADS]


def end_with_parent() -> None:
    """To be called in a worker: a parent that is killed cannot stop its workers, which would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is spawned"
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
