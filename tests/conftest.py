"""Two worker processes where pytest-xdist is installed: most of the time goes into compiling, each shape once.

For the same reason the compiler does not optimise here and makes its loops without MLIR, which costs half as much, and
what one module has compiled is kept on disk for the next. Workers have one BLAS thread each: more wait for each other
on matrices as small as these. XLA_FLAGS of your own prevail; `.ci/run` runs every claim with none.
"""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator

# Read when jax starts; and when NumPy starts, in the workers.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import pytest

# One folder a process, unknown to those that tests start: an entry is not written in one stroke, and another process
# could read half of it.
COMPILED = tempfile.mkdtemp(prefix="ufm-compiled-")
jax.config.update("jax_compilation_cache_dir", COMPILED)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# Tracing makes objects by the million, which stay until the caches are cleared: going through them takes a tenth of the
# time.
gc.freeze()
gc.set_threshold(200_000, 20, 20)


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
    """Nothing is left behind."""
    shutil.rmtree(COMPILED, ignore_errors=True)
