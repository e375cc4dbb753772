"""Two worker processes where pytest-xdist is installed: most of the time goes into compiling, each shape once.

For the same reason the compiler does not optimise here, a quarter less time in all; an XLA_FLAGS of your own prevails.
"""

import os
from collections.abc import Iterator

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # read when jax starts

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
