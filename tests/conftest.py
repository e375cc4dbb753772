"""Two worker processes where pytest-xdist is installed: most of the time goes into compiling, each shape once."""

import os

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """As if `-n 2` had been given, unless the command line chose a number or a debugger."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # a worker that took workers of its own would do so without end
        return
    option = config.option
    if getattr(option, "numprocesses", 0) is None and not option.usepdb and not option.collectonly:
        option.numprocesses = 2
