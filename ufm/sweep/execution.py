"""Where chunks are computed: in this process, or through an executor whose workers may be lost."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait

from ufm.sweep.chunks import Chunk
from ufm.sweep.rows import WORKER_DIED, Columns, Row, failed_row, run_chunk

AHEAD = 2  # chunks that wait for each worker, so that none is idle while rows are written
WORKERS = 64  # assumed of an executor that does not say how many it has


def here(chunks: Iterator[Chunk], columns: Columns | None) -> Iterator[tuple[Chunk, list[Row]]]:
    """Chunk after chunk, in this process."""
    for chunk in chunks:
        yield chunk, run_chunk(chunk.cases, chunk.size, columns)


def elsewhere(
    chunks: Iterator[Chunk], executor: Executor, columns: Columns | None
) -> Iterator[tuple[Chunk, list[Row]]]:
    """Rows as they come. A chunk whose worker was lost runs again alone: if it is lost again, its cases are."""
    room = AHEAD * (getattr(executor, "_workers", None) or getattr(executor, "_max_workers", None) or WORKERS)
    running: dict[Future[list[Row]], Chunk] = {}
    suspects: list[Chunk] = []

    def submit(chunk: Chunk) -> Future[list[Row]]:
        return executor.submit(run_chunk, chunk.cases, chunk.size, columns)

    while True:
        while not suspects and len(running) < room and (chunk := next(chunks, None)) is not None:
            running[submit(chunk)] = chunk
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            chunk = running.pop(future)
            if future.exception() is None:
                yield chunk, future.result()
            else:
                suspects.append(chunk)
        if suspects and not running:
            for chunk in suspects:
                yield chunk, _alone(chunk, submit)
            suspects.clear()


def _alone(chunk: Chunk, submit: Callable[[Chunk], "Future[list[Row]]"]) -> list[Row]:
    """The rows of a chunk that runs with no other beside it; halved until the case that ends its worker is found."""
    future = submit(chunk)
    error = future.exception()
    if error is None:
        return future.result()
    if len(chunk.cases) == 1:
        return [failed_row(chunk.cases[0], 1, WORKER_DIED, f"{type(error).__name__}: {error}")]
    middle = len(chunk.cases) // 2
    rows: list[Row] = []
    for part in (slice(0, middle), slice(middle, None)):
        rows += _alone(
            chunk._replace(
                configurations=chunk.configurations[part], cases=chunk.cases[part], size=max(chunk.size // 2, 1)
            ),
            submit,
        )
    return rows
