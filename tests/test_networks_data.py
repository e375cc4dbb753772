"""Data sets made or shipped, and loaders of files in their published formats."""

import builtins
import gzip
import re
import struct
from typing import Any

import numpy as np
import pytest

from ufm.networks import (
    arrays,
    batches,
    breast_cancer,
    canvas,
    cifar10,
    cifar100,
    digits,
    docstrings,
    flattened,
    from_arrays,
    from_huggingface,
    from_npz,
    from_torch,
    glyphs,
    iris,
    mnist,
    random_labels,
    read_idx,
    wine,
)
from ufm.networks.drawn import FONTS, LETTERS, _ink
from ufm.networks.text import SUBPACKAGES, _texts


def test_a_split_is_balanced_disjoint_and_complete():
    x, y = np.arange(20.0)[:, None], np.array(["b", "a", "b", "c"] * 5)
    data = from_arrays(x, y, n=3)
    assert data.K == 3
    assert np.bincount(data.y).tolist() == [3, 3, 3]
    assert sorted([*data.x[:, 0], *data.x_test[:, 0]]) == x[:, 0].tolist()
    names = np.array(["a", "b", "c"])
    for part, labels in ((data.x, data.y), (data.x_test, data.y_test)):
        assert np.array_equal(names[labels], y[part[:, 0].astype(int)])
    np.testing.assert_array_equal(data.x, from_arrays(x, y, n=3).x)
    assert np.any(data.x != from_arrays(x, y, n=3, key=1).x)


@pytest.mark.parametrize(
    ("make", "K", "n", "N", "shape"),
    [
        (digits, 10, 130, 1797, (8, 8, 1)),
        (wine, 3, 36, 178, (13,)),
        (breast_cancer, 2, 150, 569, (30,)),
        (iris, 3, 36, 150, (4,)),
    ],
)
def test_sets_of_scikit_learn(make, K, n, N, shape):
    data = make()
    assert (data.K, data.shape, len(data.y) + len(data.y_test)) == (K, shape, N)
    assert np.all(np.bincount(data.y) == n)
    assert data.x.dtype == data.x_test.dtype == np.float32
    np.testing.assert_allclose(np.mean(data.x), 0.0, atol=1e-5)
    if len(shape) == 1:
        np.testing.assert_allclose(np.std(data.x, axis=0, dtype=np.float64), 1.0, rtol=1e-5)
        assert abs(float(np.mean(data.x_test))) > 1e-6  # the test set is scaled by the training set's numbers


def test_random_labels_move_labels_alone():
    data = iris()
    shuffled = random_labels(data)
    np.testing.assert_array_equal(shuffled.x, data.x)
    assert np.bincount(shuffled.y).tolist() == np.bincount(data.y).tolist()
    assert 0.2 < np.mean(shuffled.y == data.y) < 0.5  # 1/3 by chance


def test_flattened_is_a_view_of_the_same_pixels():
    data = digits()
    np.testing.assert_array_equal(flattened(data).x[:, 9], data.x[:, 1, 1, 0])


def test_every_font_has_every_letter():
    assert len(FONTS) == len(set(FONTS)) == 20
    for font in FONTS:
        drawn = {_ink(letter, font).tobytes() for letter in LETTERS}
        assert len(drawn) == len(LETTERS)


def test_glyphs_are_shares_of_ink():
    data = glyphs(n=6, letters="ABO")
    assert (data.shape, data.K, len(data.y), len(data.y_test)) == ((8, 8, 1), 3, 18, 6)
    x = np.concatenate([data.x, data.x_test])
    steps = (x - x.min()) * 16  # a block has 16 pixels
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    assert np.ptp(x) == 1.0
    np.testing.assert_array_equal(data.x, glyphs(n=6, letters="ABO").x)
    ring = x[np.concatenate([data.y, data.y_test]) == 2]
    assert np.mean(ring[:, 3:5, 3:5]) < np.mean(ring)  # an O is empty in the middle


def test_a_canvas_holds_the_image_somewhere_and_nothing_else():
    data = glyphs(n=4, letters="AB")
    placed = canvas(data, side=11)
    ground = data.x.min()
    seen = set()
    for small, large in zip(data.x[..., 0], placed.x[..., 0], strict=True):
        at = [(i, j) for i in range(4) for j in range(4) if np.array_equal(large[i : i + 8, j : j + 8], small)]
        assert at
        seen.update(at[:1])
        assert np.sum(large > ground) == np.sum(small > ground)
    assert len(seen) > 2


def test_docstrings_do_not_name_their_subpackage():
    data = docstrings(n=20, words=64)
    assert (data.K, data.shape, len(data.y)) == (6, (64,), 120)
    np.testing.assert_allclose(np.linalg.norm(data.x, axis=1), 8.0, rtol=1e-5)
    for name in SUBPACKAGES:
        texts = _texts(name, 0)
        assert 20 < len(texts) <= 60
        assert not [text for text in texts if re.search(rf"\b{name}\b|scipy", text)]


def idx(array: np.ndarray, code: int) -> bytes:
    """An IDX file, from its specification."""
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_files(tmp_path, code, dtype):
    values = np.arange(-3, 3).reshape(2, 3).astype(dtype)
    (tmp_path / "plain").write_bytes(idx(values, code))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(values, code)))
    for name in ("plain", "packed"):
        found = read_idx(tmp_path / name)
        np.testing.assert_array_equal(found, values)
        assert found.dtype.isnative


def test_mnist(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(256, size=(5, 28, 28)).astype(np.uint8), np.array([3, 1, 4, 1, 5], np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(x, 8)))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(y, 8))
    found = list(mnist(tmp_path, test=True, size=2))
    assert [len(part) for part, _ in found] == [2, 2, 1]
    images, labels = arrays(found)
    np.testing.assert_allclose(images[..., 0], x / np.float32(255.0))
    np.testing.assert_array_equal(labels, y)
    with pytest.raises(
        FileNotFoundError, match=r"no file train-images-idx3-ubyte or the same with .gz in .* Get it from"
    ):
        mnist(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"not idx", idx(np.zeros(4, np.uint8), 8)[:-1], idx(np.zeros(2, np.uint8), 7)]
)
def test_broken_idx_files_are_refused(tmp_path, content):
    (tmp_path / "broken").write_bytes(content)
    with pytest.raises(ValueError, match=r"read_idx: .*broken .* Get it again from"):
        read_idx(tmp_path / "broken")


@pytest.mark.parametrize(
    ("load", "names", "labels"),
    [(cifar10, [f"data_batch_{i}.bin" for i in range(1, 6)], 1), (cifar100, ["train.bin"], 2)],
)
def test_cifar(tmp_path, load, names, labels):
    """Records: label bytes, then the red, green and blue planes, each row by row."""
    rng = np.random.default_rng(0)
    records = rng.integers(256, size=(len(names), 3, labels + 3072)).astype(np.uint8)
    for name, part in zip(names, records, strict=True):
        (tmp_path / name).write_bytes(part.tobytes())
    x, y = arrays(load(tmp_path, size=4))
    flat = records.reshape(-1, labels + 3072)
    np.testing.assert_array_equal(y, flat[:, labels - 1])
    np.testing.assert_allclose(x[2, 7, 5], flat[2, labels + 32 * 7 + 5 + 1024 * np.arange(3)] / np.float32(255.0))
    (tmp_path / names[0]).write_bytes(b"short")
    with pytest.raises(ValueError, match=r"5 bytes, no multiple of 307[34]. Get it from"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file test.*bin in .* Get it from .* pickle"):
        load(tmp_path, test=True)


def test_batches_can_be_read_again_and_from_a_file(tmp_path):
    x, y = np.arange(10.0).reshape(5, 2), np.arange(5)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "both.npz", features=x, y=y)
    mapped = batches(np.load(tmp_path / "x.npy", mmap_mode="r"), y, 2)
    stored = from_npz(tmp_path / "both.npz", x="features", size=3)
    for source, sizes in ((mapped, [2, 2, 1]), (stored, [3, 2])):
        for _ in range(2):
            assert [len(labels) for _, labels in source] == sizes
            np.testing.assert_array_equal(arrays(source)[0], x)


class Listed:
    """What is used of a Hugging Face dataset."""

    column_names = ("image", "label")

    def __len__(self) -> int:
        return 5

    def __getitem__(self, rows: slice) -> dict[str, Any]:
        numbers = list(range(5))[rows]
        return {"image": [[float(i), 1.0] for i in numbers], "label": [i % 2 for i in numbers]}


def test_datasets_of_other_libraries():
    pairs = [([float(i), 1.0], i % 2) for i in range(5)]
    for source in (from_torch(pairs, size=2), from_huggingface(Listed(), x="image", size=2)):
        assert [len(y) for _, y in source] == [2, 2, 1]
        x, y = arrays(source)
        np.testing.assert_array_equal(x, [[i, 1.0] for i in range(5)])
        np.testing.assert_array_equal(y, [0, 1, 0, 1, 0])


def test_a_torch_dataset():
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.arange(6.0).reshape(3, 2), torch.tensor([2, 0, 1]))
    x, y = arrays(from_torch(dataset, size=2))
    np.testing.assert_array_equal(x, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(y, [2, 0, 1])


@pytest.mark.parametrize(
    ("call", "needle"),
    [
        (lambda: from_arrays(np.zeros(4), np.zeros(4)), "from_arrays: x has shape (4,)"),
        (lambda: from_arrays(np.zeros((4, 1)), np.zeros(3)), "y (3,)"),
        (lambda: from_arrays(np.full((4, 1), np.nan), [0, 1, 0, 1]), "4 non-finite"),
        (lambda: from_arrays(np.zeros((4, 1)), [0, 0, 0, 0]), "y has 1 class"),
        (lambda: from_arrays(np.zeros((4, 1)), [0, 0, 1, 1], n=2), "n=2, but the smallest class has 2"),
        (lambda: glyphs(letters="AA"), "glyphs: letters='AA'"),
        (lambda: glyphs(letters=" A", n=1), "has no ink for ' '"),
        (lambda: canvas(wine()), "canvas: samples of shape (13,)"),
        (lambda: canvas(digits(), side=7), "do not fit on 7 x 7"),
        (lambda: batches(np.zeros((2, 1)), [0]), "batches: x has 2 samples, y has 1"),
        (lambda: batches(np.zeros((2, 1)), [0, 1], 0), "size=0"),
        (lambda: arrays([]), "arrays: there is no batch"),
        (lambda: from_torch([]), "from_torch: the dataset has no length"),
        (lambda: from_huggingface(Listed(), x="text"), "there is no column 'text', only ('image', 'label')"),
    ],
)
def test_bad_input_is_refused(call, needle):
    with pytest.raises(ValueError, match="Pass") as caught:
        call()
    assert needle in str(caught.value)


def test_npz_files_that_lack_something_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"from_npz: there is no file absent.npz in .* Save one with"):
        from_npz(tmp_path / "absent.npz")
    np.savez(tmp_path / "one.npz", x=np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"from_npz: .* has no array 'y', only \['x'\]. Pass"):
        from_npz(tmp_path / "one.npz")


def test_without_scikit_learn_its_sets_say_what_to_install(monkeypatch):
    real = builtins.__import__

    def no_sklearn(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_sklearn)
    with pytest.raises(ImportError, match=r"needs scikit-learn. Install it with: pip install 'ufm\[networks\]'"):
        digits()
