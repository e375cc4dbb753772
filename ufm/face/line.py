"""How far rows are, for whoever waits."""

import math
import time
from collections.abc import Callable
from typing import Any, TextIO

PATIENCE = 10.0  # seconds between two lines of a file


class Line:
    """One line on stderr: overwritten on a terminal, else one every ten seconds and the last one.

    Args:
        told: what `show` is called with, to the text and whether it is the last one.
    """

    def __init__(self, stream: TextIO, told: Callable[..., tuple[str, bool]]) -> None:
        self.stream, self.told, self.live, self.last = stream, told, stream.isatty(), -math.inf

    def show(self, *now: Any) -> None:
        """Where things are now."""
        text, done = self.told(*now)
        clock = time.monotonic()
        if self.live or done or clock - self.last >= PATIENCE:
            self.last = clock
            self.stream.write(f"\r{text[:79]:79}" if self.live else f"{text}\n")
            self.stream.flush()

    def end(self) -> None:
        """Clear the line."""
        if self.live:
            self.stream.write(f"\r{'':79}\r")
            self.stream.flush()
