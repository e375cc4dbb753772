"""Two worker processes where pytest-xdist is installed: most of the time goes into compiling, each shape once.

For the same reason the compiler does not optimise here, a quarter less time in all, and what one module or process has
compiled is kept on disk for the others of the run, an eighth. Settings of your own prevail.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator

# Read when jax starts, here and in the processes that tests start.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{tempfile.gettempdir()}/ufm-compiled-{os.getpid()}")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def _room() -> Iterator[None]:
    """The programs of one module are of little use to the next, and a process may hold only some thousand."""
    yield
    jax.clear_caches()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """As if `-n 2` had been given, unless the command line chose a number or a debugger."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # a worker that took workers of its own would do so without end
        return
    option = config.option
    if getattr(option, "numprocesses", 0) is None and not option.usepdb and not option.collectonly:
        option.numprocesses = 2


def pytest_unconfigure() -> None:
    """The process that named the cache removes it."""
    if os.environ["JAX_COMPILATION_CACHE_DIR"].endswith(f"/ufm-compiled-{os.getpid()}"):
        shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
