"""How often XLA compiled a function, by its own log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import jax


class _Counter(logging.Handler):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.text, self.count = f"Compiling jit({name})", 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.getMessage().startswith(self.text)


@contextmanager
def compilations(name: str = "advance") -> Iterator[_Counter]:
    """Counts in `count` the compilations of the jitted function of this name, while the context is open."""
    logger, counter = logging.getLogger("jax"), _Counter(name)
    propagate, logger.propagate = logger.propagate, False
    handlers: list[logging.Handler] = [counter]
    handlers, logger.handlers = logger.handlers, handlers
    try:
        with jax.log_compiles():
            yield counter
    finally:
        logger.propagate, logger.handlers = propagate, handlers
