"""Data that users have, as one thing: an iterable of NumPy batches (x [B, ...], y [B]) that may be read many times.

    batches(x, y)                    arrays in memory or memory-mapped
    from_npz(path)                   an .npz file
    mnist(folder)                    MNIST, Fashion-MNIST, KMNIST, EMNIST: IDX files, gzipped or not
    cifar10(folder), cifar100(...)   CIFAR's binary files
    from_torch(dataset)              a torch Dataset, or anything with len() and [i] -> (x, y)
    from_huggingface(dataset, ...)   a Hugging Face dataset

Nothing is downloaded; what is missing is named, with the folder and where to get it. `arrays` joins the batches, and
`from_arrays` of ufm.networks.data makes a training problem of them.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ufm.checks import whole

Batch = tuple[np.ndarray, np.ndarray]
MNIST = "https://yann.lecun.com/exdb/mnist or https://ossci-datasets.s3.amazonaws.com/mnist"
CIFAR = "https://www.cs.toronto.edu/~kriz/cifar.html (the binary version)"
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@dataclass(frozen=True, eq=False)
class Batches:
    """An iterable of (x, y) that starts anew each time; `read` makes the iterator."""

    read: Callable[[], Iterator[Batch]]

    def __iter__(self) -> Iterator[Batch]:
        return self.read()


def batches(x: Any, y: Any, size: int = 512) -> Batches:
    """Consecutive batches of arrays x [N, ...] and y [N]; a memory-mapped x is read batch by batch.

    Raises:
        ValueError: x and y disagree in N, or there are no samples.
    """
    y = np.asarray(y)
    size = whole(size, "size", "batches", 1, "samples of a batch")
    if len(x) != len(y) or len(y) == 0:
        raise ValueError(f"batches: x has {len(x)} samples, y has {len(y)}. Pass as many of both, and at least one.")
    return Batches(lambda: ((np.asarray(x[i : i + size]), y[i : i + size]) for i in range(0, len(y), size)))


def from_npz(path: str | Path, x: str = "x", y: str = "y", size: int = 512) -> Batches:
    """Arrays `x` and `y` of an .npz file. No pickled object is loaded."""
    path = Path(path)
    with np.load(_present("from_npz", path, "Save one with numpy.savez(path, x=x, y=y)"), allow_pickle=False) as file:
        for name in (x, y):
            if name not in file.files:
                raise ValueError(f"from_npz: {path} has no array {name!r}, only {file.files}. Pass x= and y=.")
        return batches(file[x], file[y], size)


def mnist(folder: str | Path, test: bool = False, size: int = 512) -> Batches:
    """Images [B, 28, 28, 1] in [0, 1] and labels of {train, t10k}-{images-idx3, labels-idx1}-ubyte[.gz] in a folder."""
    folder, part = Path(folder), "t10k" if test else "train"
    x, y = (read_idx(folder / f"{part}-{kind}-ubyte", MNIST) for kind in ("images-idx3", "labels-idx1"))
    return batches(x[..., None].astype(np.float32) / 255.0, y.astype(np.int64), size)


def cifar10(folder: str | Path, test: bool = False, size: int = 512) -> Batches:
    """Images [B, 32, 32, 3] in [0, 1] and labels of data_batch_1.bin ... data_batch_5.bin, or test_batch.bin."""
    names = ["test_batch.bin"] if test else [f"data_batch_{i}.bin" for i in range(1, 6)]
    return _cifar("cifar10", Path(folder), names, 1, size)


def cifar100(folder: str | Path, test: bool = False, size: int = 512) -> Batches:
    """Images [B, 32, 32, 3] in [0, 1] and the fine labels of train.bin or test.bin."""
    return _cifar("cifar100", Path(folder), ["test.bin" if test else "train.bin"], 2, size)


def from_torch(dataset: Any, size: int = 512) -> Batches:
    """A torch Dataset: samples dataset[i] = (x, y), tensors on the CPU, images or arrays. torch is not imported."""
    N = _length("from_torch", dataset)

    def read() -> Iterator[Batch]:
        for i in range(0, N, size):
            x, y = zip(*(dataset[j] for j in range(i, min(i + size, N))), strict=True)
            yield np.stack([np.asarray(v) for v in x]), np.array([int(v) for v in y])

    return Batches(read)


def from_huggingface(dataset: Any, x: str, y: str = "label", size: int = 512) -> Batches:
    """Columns `x` (images, arrays or numbers of one shape) and `y` of a Hugging Face dataset."""
    N = _length("from_huggingface", dataset)
    for name in (x, y):
        if name not in dataset.column_names:
            raise ValueError(f"from_huggingface: there is no column {name!r}, only {dataset.column_names}. Pass x, y.")

    def read() -> Iterator[Batch]:
        for i in range(0, N, size):
            rows = dataset[i : i + size]
            yield np.stack([np.asarray(v) for v in rows[x]]), np.asarray(rows[y])

    return Batches(read)


def arrays(of: Iterable[Batch]) -> Batch:
    """All batches joined: x [N, ...], y [N].

    Raises:
        ValueError: there is no batch.
    """
    parts = list(of)
    if not parts:
        raise ValueError("arrays: there is no batch. Pass an iterable of (x, y) that is not used up.")
    x, y = zip(*parts, strict=True)
    return np.concatenate(x), np.concatenate(y)


def read_idx(path: str | Path, source: str = MNIST) -> np.ndarray:
    """The array of an IDX file, gzipped or not: `path` or `path`.gz.

    Raises:
        FileNotFoundError: neither is there. ValueError: it is no IDX file, or it is cut off.
    """
    path = Path(path)
    packed = path.with_name(path.name + ".gz")
    if packed.exists() and not path.exists():
        data = gzip.decompress(packed.read_bytes())
    else:
        data = _present("read_idx", path, f"Get it from {source}", " or the same with .gz").read_bytes()
    kind = IDX_TYPES.get(data[2]) if len(data) >= 4 and data[:2] == b"\0\0" else None
    if kind is None:
        raise ValueError(f"read_idx: {path} does not begin as an IDX file does. Get it again from {source}.")
    shape = np.frombuffer(data, ">u4", data[3], 4).astype(int)
    start, dtype = 4 + 4 * len(shape), np.dtype(kind)
    expected = start + int(np.prod(shape)) * dtype.itemsize
    if len(data) != expected:
        raise ValueError(f"read_idx: {path} has {len(data)} bytes, expected {expected}. Get it again from {source}.")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def _cifar(who: str, folder: Path, names: list[str], labels: int, size: int) -> Batches:
    """Records of `labels` label bytes, the last of which counts, and 3072 bytes: three 32 x 32 planes."""
    parts = []
    for name in names:
        remedy = f"Get it from {CIFAR}; the Python version is a pickle, which could run any code, and is not read"
        path = _present(who, folder / name, remedy)
        data, record = np.fromfile(path, np.uint8), labels + 3072
        if data.size == 0 or data.size % record:
            raise ValueError(f"{who}: {path} has {data.size} bytes, no multiple of {record}. Get it from {CIFAR}.")
        parts.append(data.reshape(-1, record))
    records = np.concatenate(parts)
    x = records[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).astype(np.float32) / 255.0
    return batches(x, records[:, labels - 1].astype(np.int64), size)


def _present(who: str, path: Path, remedy: str, other: str = "") -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{who}: there is no file {path.name}{other} in {path.parent.resolve()}. {remedy}.")
    return path


def _length(who: str, dataset: Any) -> int:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__") or len(dataset) == 0:
        raise ValueError(f"{who}: the dataset has no length, or none of its samples. Pass one with len() and [i].")
    return len(dataset)
