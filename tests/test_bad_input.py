"""Every bad input is a clear error, naming who, what was wrong and what to do, before anything is compiled."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ufm

# Sizes that no other test uses, so that a compilation here cannot hide behind another test's cache.
K, N, D = 3, 6, 7
DEFAULTS: dict[str, Any] = {"K": K, "n": 2, "d": D, "lam_W": 1e-2, "lam_H": 1e-2, "lam_b": 1e-2}
# An instruction, or the requirement spelled out.
ACTION = re.compile(r"\b(Pass|pass|Use|use|Build|Wrap|Write|Call|Make|Drop|drop|expected|must be|outside)\b")


def short(value: Any) -> str:
    return repr(value)[:30]


def problem(**changes: Any) -> Any:
    return ufm.Problem(**{**DEFAULTS, **changes})


def point(**changes: Any) -> Any:
    rng = np.random.default_rng(0)
    params = ufm.Params(rng.standard_normal((K, D)), rng.standard_normal((D, N)), rng.standard_normal(K))
    return params._replace(**changes)


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """The compilations that happen while the test runs."""
    seen: list[str] = []
    active = [True]

    def listen(event: str, duration_secs: float, **_: Any) -> None:
        if active and "backend_compile" in event:
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    active.clear()


def refuses(compiled: list[str], call: Callable[[], Any], error: Any, *needles: str) -> None:
    """`call` raises `error`, its text opens with the caller's name, holds the needles and an instruction."""
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert re.match(r"(solve|certify|random_start|etf_start|perturb|hessian_spectrum): ", text), text
    for needle in needles:
        assert needle in text, f"{needle!r} is missing from: {text}"
    assert ACTION.search(text), f"no word of what to do in: {text}"
    assert len(text) < 1000, f"{len(text)} characters"
    assert not compiled


CLASS_COUNTS = [
    (1, ValueError, "one class has nothing to separate"),
    (0, ValueError, "K=0"),
    (-4, ValueError, "K=-4"),
    (True, TypeError, "K=True is not an integer"),
    (3.0, TypeError, "K=3.0 is not an integer"),
    ("3", TypeError, "K='3' is not an integer"),
    (None, TypeError, "K=None is not an integer"),
    (np.float64(3), TypeError, "is not an integer"),
    (np.array(3), TypeError, "is not an integer"),
]


@pytest.mark.parametrize(("value", "error", "needle"), CLASS_COUNTS)
def test_class_count(value: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(K=value)), error, needle, ">= 2")


DIMENSIONS = [
    (0, ValueError, "d=0"),
    (-1, ValueError, "d=-1"),
    (True, TypeError, "d=True is not an integer"),
    (4.0, TypeError, "d=4.0 is not an integer"),
    ("4", TypeError, "d='4' is not an integer"),
    (None, TypeError, "d=None is not an integer"),
]


@pytest.mark.parametrize(("value", "error", "needle"), DIMENSIONS)
def test_dimension(value: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(d=value)), error, needle, ">= 1")


CLASS_SIZES = [
    (0, ValueError, "n=0"),
    (-1, ValueError, "n=-1"),
    (True, TypeError, "True is not an integer"),
    (2.0, TypeError, "2.0 is not an integer"),
    ("2", TypeError, "'2' is not an integer"),
    (None, TypeError, "None is not an integer"),
    ((1, 2), ValueError, "n has 2 class sizes, but K=3"),
    ((1, 2, 3, 4), ValueError, "n has 4 class sizes, but K=3"),
    ((), ValueError, "n has 0 class sizes, but K=3"),
    ((1, 0, 3), ValueError, "n=0"),
    ((1, -2, 3), ValueError, "n=-2"),
    ((1, 2.0, 3), TypeError, "2.0 is not an integer"),
    ((True, 1, 2), TypeError, "True is not an integer"),
    ([1, 2], ValueError, "n has 2 class sizes, but K=3"),
    ([[1], [2], [3]], TypeError, "is not an integer"),
    (np.array([1.0, 2.0, 3.0]), TypeError, "is not an integer"),
    (np.array([[1, 2, 3]]), ValueError, "class sizes"),
    (range(1, 4), TypeError, "is not an integer"),
    ({1, 2, 3}, TypeError, "is not an integer"),
]


@pytest.mark.parametrize(("value", "error", "needle"), CLASS_SIZES)
def test_class_sizes(value: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(n=value)), error, needle)


DECAYS = [
    ("0.1", TypeError, "is not a real scalar"),
    (1j, TypeError, "1j"),
    (np.complex128(1), TypeError, "complex"),
    (float("nan"), ValueError, "=nan"),
    (float("inf"), ValueError, "=inf"),
    (-float("inf"), ValueError, "=-inf"),
    (-1e-3, ValueError, "=-0.001"),
    (5e-324, ValueError, "outside"),
    (1e-310, ValueError, "outside"),
    (True, TypeError, "is not a real scalar"),
    (np.True_, TypeError, "is not a real scalar"),
    (np.array(True), TypeError, "is not a real scalar"),
    (jnp.asarray(True), TypeError, "is not a real scalar"),
    (np.array([0.01]), TypeError, "is not a real scalar"),
    (np.array([0.01, 0.01]), TypeError, "is not a real scalar"),
    (jnp.array([0.01, 0.01]), TypeError, "is not a real scalar"),
    ([0.01], TypeError, "is not a real scalar"),
    (np.array("a"), TypeError, "is not a real scalar"),
    (np.array(None), TypeError, "is not a real scalar"),
    (np.datetime64("2020-01-01"), TypeError, "is not a real scalar"),
    (10**400, ValueError, "finite"),
    (Ellipsis, TypeError, "is not a real scalar"),
]


@pytest.mark.parametrize("name", ["lam_W", "lam_H", "lam_b"])
@pytest.mark.parametrize(("value", "error", "needle"), DECAYS, ids=[short(x[0]) for x in DECAYS])
def test_decay(name: str, value: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(**{name: value})), error, name, needle)


@pytest.mark.parametrize("name", ["lam_W", "lam_H"])
@pytest.mark.parametrize("value", [0, 0.0, -0.0, np.float32(0), Fraction(0)])
def test_without_decay_there_is_no_minimiser(name: str, value: Any, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(**{name: value})), ValueError, f"{name}=0 has no minimiser", "let")


@pytest.mark.parametrize("name", ["lam_W", "lam_H"])
def test_only_the_bias_may_have_no_decay(name: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(**{name: None})), TypeError, f"{name}=None is not a real scalar")


def test_a_traced_decay_is_named(compiled: list[str]) -> None:
    def inside(lam: Any) -> Any:
        return ufm.solve(problem(lam_W=lam)).value

    refuses(compiled, lambda: jax.jit(inside)(0.01), TypeError, "solve: ", "lam_W", "jit")


def test_a_traced_start_is_named(compiled: list[str]) -> None:
    def inside(W: Any) -> Any:
        return ufm.solve(problem(), start=point(W=W)).value

    refuses(compiled, lambda: jax.jit(inside)(point().W), TypeError, "solve: ", "W", "jit")


SMOOTHINGS = [
    (-0.1, ValueError, "smoothing=-0.1 is outside [0, 1)"),
    (1.0, ValueError, "smoothing=1.0 is outside [0, 1)"),
    (1, ValueError, "outside [0, 1)"),
    (float("nan"), ValueError, "smoothing=nan is outside [0, 1)"),
    (float("inf"), ValueError, "outside [0, 1)"),
    ("0.1", TypeError, "smoothing='0.1' is not a real scalar"),
    (None, TypeError, "smoothing=None is not a real scalar"),
    (True, TypeError, "smoothing=True is not a real scalar"),
    (1j, TypeError, "is not a real scalar"),
    (np.complex128(0.1), TypeError, "smoothing"),
    (np.array([0.1]), TypeError, "is not a real scalar"),
    (np.array("a"), TypeError, "is not a real scalar"),
]


@pytest.mark.parametrize(("value", "error", "needle"), SMOOTHINGS)
def test_smoothing(value: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(loss=ufm.CrossEntropy(value))), error, needle)


def raising(Z: Any, Y: Any) -> Any:
    raise RuntimeError("the user's own words")


def in_numpy(Z: Any, Y: Any) -> Any:
    return np.sum(np.asarray(Z) ** 2, axis=0)


def branching(Z: Any, Y: Any) -> Any:
    return jnp.sum(Z, axis=0) if Z[0, 0] > 0 else jnp.sum(Y, axis=0)


LOSSES = {
    "None": (None, TypeError, "loss=None is not callable"),
    "string": ("ce", TypeError, "loss='ce' is not callable"),
    "number": (3, TypeError, "loss=3 is not callable"),
    "CrossEntropy class": (ufm.CrossEntropy, TypeError, "CrossEntropy()"),
    "MSE class": (ufm.MSE, TypeError, "MSE()"),
    "UserLoss class": (ufm.UserLoss, TypeError, "UserLoss("),
    "UserLoss of None": (ufm.UserLoss(None), TypeError, "callable"),  # pyright: ignore[reportArgumentType]
    "scalar": (lambda Z, Y: jnp.sum(Z), ValueError, "shape () of float32"),
    "python float": (lambda Z, Y: 1.0, ValueError, "shape ()"),
    "logits": (lambda Z, Y: Z, ValueError, "shape (3, 6)"),
    "per class": (lambda Z, Y: jnp.sum(Z, axis=1), ValueError, "shape (3,)"),
    "kept axis": (lambda Z, Y: jnp.sum(Z, axis=0, keepdims=True), ValueError, "shape (1, 6)"),
    "ints": (lambda Z, Y: jnp.sum(Y, axis=0).astype(int), ValueError, "int32"),
    "bools": (lambda Z, Y: Z[0] > 0, ValueError, "bool"),
    "complex": (lambda Z, Y: jnp.sum(Z, axis=0) * 1j, ValueError, "complex64"),
    "nothing": (lambda Z, Y: None, ValueError, "NoneType"),
    "tuple": (lambda Z, Y: (Z[0], Y[0]), ValueError, "tuple"),
    "text": (lambda Z, Y: "text", ValueError, "str"),
    "raising": (raising, ValueError, "the user's own words"),
    "one argument": (lambda Z: jnp.sum(Z, axis=0), ValueError, "positional argument"),
    "NumPy": (in_numpy, ValueError, "jax.numpy"),
    "branching": (branching, ValueError, "jax.numpy"),
    "optax, samples last": (optax.softmax_cross_entropy, ValueError, "shape (3,)"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, compiled: list[str]) -> None:
    loss, error, needle = LOSSES[name]
    refuses(compiled, lambda: ufm.solve(problem(loss=loss)), error, "solve: ", needle)


def test_a_loss_over_the_wrong_axis_is_seen_even_where_K_equals_N(compiled: list[str]) -> None:
    """[K, N] summed over samples has the expected length when K = N, and would be solved as another problem."""

    def per_class(Z: Any, Y: Any) -> Any:
        return jnp.sum((Z - Y) ** 2, axis=1)

    refuses(compiled, lambda: ufm.solve(problem(n=1, loss=per_class)), ValueError, "the loss returned", "per sample")


@pytest.mark.parametrize("value", [None, "problem", ufm.Problem, DEFAULTS, 3])
@pytest.mark.parametrize("entry", [ufm.solve, ufm.random_start, ufm.etf_start])
def test_not_a_problem(entry: Any, value: Any, compiled: list[str]) -> None:
    refuses(compiled, lambda: entry(value), TypeError, "expected a ufm.Problem", "Build one with")


@pytest.mark.parametrize("entry", [ufm.certify, ufm.perturb, ufm.hessian_spectrum])
def test_not_a_problem_at_a_point(entry: Any, compiled: list[str]) -> None:
    refuses(compiled, lambda: entry("problem", point()), TypeError, "expected a ufm.Problem, got str")


@pytest.mark.parametrize("value", ["yes", 1, None])
def test_merged_is_a_bool(value: Any, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(merged=value)), TypeError, f"merged={value!r}")


KEYS = [
    (-1, ValueError, "key=-1 is not a seed"),
    (2**63, ValueError, "is not a seed"),
    (True, TypeError, "key=True"),
    (1.0, TypeError, "key=1.0"),
    ("0", TypeError, "key='0'"),
    (None, TypeError, "key=None"),
    ([0], TypeError, "key=[0]"),
    (np.random.default_rng(0), TypeError, "jax PRNG key"),
    (np.array([0, 1], np.uint32), TypeError, "jax PRNG key"),
]


@pytest.mark.parametrize(("value", "error", "needle"), KEYS)
@pytest.mark.parametrize("entry", [ufm.solve, ufm.random_start, lambda p, key: ufm.perturb(p, point(), key)])
def test_key(entry: Any, value: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: entry(problem(), value), error, needle)


OPTIONS: list[tuple[dict[str, Any], Any, str]] = [
    ({"gtol": 0}, ValueError, "gtol=0 is not a finite positive number"),
    ({"gtol": -1.0}, ValueError, "gtol=-1.0 is not"),
    ({"gtol": float("nan")}, ValueError, "gtol=nan is not"),
    ({"gtol": float("inf")}, ValueError, "gtol=inf is not"),
    ({"gtol": "1e-8"}, (TypeError, ValueError), "gtol='1e-8' is not"),
    ({"gtol": True}, (TypeError, ValueError), "gtol=True is not"),
    ({"gtol": 1j}, (TypeError, ValueError), "gtol=1j is not"),
    ({"gtol": np.complex128(1e-8)}, (TypeError, ValueError), "gtol=np.complex128"),
    ({"gtol": np.timedelta64(1, "s")}, (TypeError, ValueError), "gtol=np.timedelta64"),
    ({"gtol": 10**400}, (TypeError, ValueError), "gtol="),
    ({"gtol": [1e-8]}, (TypeError, ValueError), "gtol=[1e-08] is not"),
    ({"gtol": 1e-17}, ValueError, "below float64 resolution (2.2e-16)"),
    ({"gtol": 1e-8, "dtype": "float32"}, ValueError, "below float32 resolution (1.2e-07). Use float64"),
    ({"max_steps": 0}, ValueError, "max_steps=0 (that allows no step)"),
    ({"max_steps": -1}, ValueError, "max_steps=-1 (that allows no step)"),
    ({"max_steps": 2**31}, ValueError, "[1, 2^31)"),
    ({"max_steps": 10.0}, TypeError, "max_steps=10.0 is not an integer"),
    ({"max_steps": True}, TypeError, "max_steps=True is not an integer"),
    ({"max_steps": "10"}, TypeError, "max_steps='10' is not an integer"),
    ({"max_steps": float("inf")}, TypeError, "max_steps=inf is not an integer"),
    ({"record": 5}, TypeError, "record=5 is not a collection of step numbers"),
    ({"record": None}, TypeError, "record=None is not a collection"),
    ({"record": "abc"}, TypeError, "record='abc' is not a collection"),
    ({"record": "12"}, TypeError, "record='12' is not a collection"),
    ({"record": b"ab"}, TypeError, "record=b'ab' is not a collection"),
    ({"record": ["1"]}, TypeError, "record contains '1', which is not an integer"),
    ({"record": [1.5]}, (TypeError, ValueError), "1.5"),
    ({"record": np.array([0.5, 2.0])}, (TypeError, ValueError), "0.5"),
    ({"record": [True]}, TypeError, "True"),
    ({"record": [None]}, TypeError, "record contains None"),
    ({"record": [float("nan")]}, (TypeError, ValueError), "nan"),
    ({"record": [float("inf")]}, (TypeError, ValueError), "inf"),
    ({"record": [1, -2]}, ValueError, "record contains step -2"),
    ({"record": [[1, 2]]}, TypeError, "record contains [1, 2]"),
    ({"dtype": "bogus"}, ValueError, "dtype='bogus' is not supported"),
    ({"dtype": ""}, ValueError, "dtype='' is not supported"),
    ({"dtype": 64}, ValueError, "dtype=64 is not supported"),
    ({"dtype": "float16"}, ValueError, "dtype='float16' is not supported"),
    ({"dtype": "bfloat16"}, ValueError, "dtype='bfloat16' is not supported"),
    ({"dtype": "int32"}, ValueError, "dtype='int32' is not supported"),
    ({"dtype": "complex128"}, ValueError, "dtype='complex128' is not supported"),
    ({"dtype": []}, ValueError, "dtype=[] is not supported"),
    ({"progress": 3}, TypeError, "progress=3 is not callable"),
]


@pytest.mark.parametrize(("options", "error", "needle"), OPTIONS, ids=[f"{x[0]}"[:50] for x in OPTIONS])
def test_option(options: dict[str, Any], error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(), **options), error, needle)


SOLVERS: list[tuple[str, Any, Any, str]] = [
    ("string", "newton", TypeError, "solver='newton' is not a solver"),
    ("number", 3, TypeError, "solver=3 is not a solver"),
    ("class", ufm.TrustRegion, TypeError, "is not a solver. Pass ufm.TrustRegion()"),
    ("class of first order", ufm.FirstOrder, TypeError, "is not a solver"),
    ("bare optax", optax.sgd(0.1), TypeError, "goes inside FirstOrder"),
    ("no transformation", ufm.FirstOrder(None), TypeError, "transformation"),  # pyright: ignore[reportArgumentType]
    ("text transformation", ufm.FirstOrder("sgd"), TypeError, "transformation"),  # pyright: ignore[reportArgumentType]
    ("uncalled optax", ufm.FirstOrder(optax.sgd), TypeError, "transformation"),  # pyright: ignore[reportArgumentType]
    ("rate text", ufm.FirstOrder(optax.sgd(0.1), rate="x"), TypeError, "rate='x'"),
    ("rate None", ufm.FirstOrder(optax.sgd(0.1), rate=None), TypeError, "rate=None"),
    ("rate NaN", ufm.FirstOrder(optax.sgd(0.1), rate=float("nan")), ValueError, "rate=nan"),
    ("rate complex", ufm.FirstOrder(optax.sgd(0.1), rate=1j), TypeError, "rate=1j"),
    ("rate array", ufm.FirstOrder(optax.sgd(0.1), rate=np.array([0.1, 0.2])), TypeError, "rate="),
    ("first order steps", ufm.FirstOrder(optax.sgd(0.1), max_steps=2.5), TypeError, "max_steps=2.5"),
    ("no memory", ufm.LBFGS(memory=0), ValueError, "memory=0"),
    ("negative memory", ufm.LBFGS(memory=-1), ValueError, "memory=-1"),
    ("float memory", ufm.LBFGS(memory=2.5), TypeError, "memory=2.5"),  # pyright: ignore[reportArgumentType]
    ("L-BFGS steps", ufm.LBFGS(max_steps=0), ValueError, "max_steps=0"),
    ("radius 0", ufm.TrustRegion(radius=0.0), ValueError, "radius=0.0"),
    ("radius negative", ufm.TrustRegion(radius=-1.0), ValueError, "radius=-1.0"),
    ("radius NaN", ufm.TrustRegion(radius=float("nan")), ValueError, "radius=nan"),
    ("radius infinite", ufm.TrustRegion(radius=float("inf")), ValueError, "radius=inf"),
    ("radius text", ufm.TrustRegion(radius="a"), TypeError, "radius='a'"),
    ("forcing NaN", ufm.TrustRegion(forcing=float("nan")), ValueError, "forcing=nan"),
    ("forcing negative", ufm.TrustRegion(forcing=-1.0), ValueError, "forcing=-1.0"),
    ("single text", ufm.TrustRegion(single="no"), TypeError, "single='no' is not a bool"),  # pyright: ignore[reportArgumentType]
    ("escapes None", ufm.TrustRegion(escapes=None), TypeError, "escapes=None is not a bool"),  # pyright: ignore[reportArgumentType]
    ("no products", ufm.TrustRegion(max_products=0), ValueError, "max_products=0"),
    ("products None", ufm.TrustRegion(max_products=None), TypeError, "max_products=None"),
    ("trust-region steps", ufm.TrustRegion(max_steps=1e3), TypeError, "max_steps=1000.0"),
]


@pytest.mark.parametrize(("solver", "error", "needle"), [x[1:] for x in SOLVERS], ids=[x[0] for x in SOLVERS])
def test_solver(solver: Any, error: Any, needle: str, compiled: list[str]) -> None:
    refuses(compiled, lambda: ufm.solve(problem(), solver=solver), error, "solve: ", needle)


POINTS: dict[str, tuple[Any, Any, tuple[str, ...]]] = {
    "tuple": (tuple(point()), TypeError, ("got tuple", "ufm.Params(W, H, b)")),
    "dict": (point()._asdict(), TypeError, ("got dict",)),
    "array": (point().W, TypeError, ("got ndarray",)),
    "W transposed": (point(W=np.zeros((D, K))), ValueError, ("W has shape (7, 3), expected (3, 7)",)),
    "H transposed": (point(H=np.zeros((N, D))), ValueError, ("H has shape (6, 7), expected (7, 6)",)),
    "b long": (point(b=np.zeros(4)), ValueError, ("b has shape (4,), expected (3,)",)),
    "b column": (point(b=np.zeros((K, 1))), ValueError, ("b has shape (3, 1), expected (3,)",)),
    "b scalar": (point(b=0.0), ValueError, ("b has shape (), expected (3,)",)),
    "b missing": (point(b=None), ValueError, ("b must be an array of shape (3,), got None",)),
    "W missing": (point(W=None), ValueError, ("W must be an array of shape (3, 7), got None",)),
    "NaN in W": (point(W=np.full((K, D), np.nan)), ValueError, ("W has 21 non-finite entries",)),
    "inf in H": (point(H=np.full((D, N), np.inf)), ValueError, ("H has 42 non-finite entries",)),
    "NaN in b": (point(b=np.array([0.0, np.nan, 1.0])), ValueError, ("b has 1 non-finite entries",)),
    "complex": (point(W=np.ones((K, D)) * 1j), TypeError, ("W has dtype complex128",)),
    "text": (point(W=np.full((K, D), "a")), TypeError, ("W has dtype <U1",)),
    "objects": (point(W=np.full((K, D), None)), TypeError, ("W has dtype object",)),
    "bools": (point(W=np.ones((K, D), bool)), TypeError, ("W has dtype bool",)),
    "ragged": (point(W=[[1.0, 2.0], [3.0]]), (TypeError, ValueError), ("W",)),
    "beyond float64": (point(W=np.full((K, D), np.longdouble("1e4000"))), ValueError, ("W has 21 non-finite",)),
}
ENTRIES: dict[str, Callable[[Any, Any], Any]] = {
    "solve": lambda problem, params: ufm.solve(problem, start=params),
    "certify": ufm.certify,
    "perturb": ufm.perturb,
    "hessian_spectrum": ufm.hessian_spectrum,
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", POINTS)
def test_point(entry: str, name: str, compiled: list[str]) -> None:
    params, error, needles = POINTS[name]
    refuses(compiled, lambda: ENTRIES[entry](problem(), params), error, f"{entry}: ", *needles)


@pytest.mark.parametrize("entry", ENTRIES)
def test_bias_where_the_problem_has_none(entry: str, compiled: list[str]) -> None:
    call = ENTRIES[entry]
    refuses(compiled, lambda: call(problem(lam_b=None), point()), ValueError, "b must be None", "lam_b=None")


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_problem_is_checked_at_every_entry(entry: str, compiled: list[str]) -> None:
    call = ENTRIES[entry]
    refuses(compiled, lambda: call(problem(lam_H=0), point()), ValueError, f"{entry}: lam_H=0 has no minimiser")


@pytest.mark.parametrize(("name", "value"), [("lam_W", 1e60), ("lam_H", 1e-60), ("lam_b", 1e60), ("lam_W", 1e-40)])
def test_decays_beyond_float32(name: str, value: float, compiled: list[str]) -> None:
    def call() -> Any:
        return ufm.solve(problem(**{name: value}), dtype="float32")

    refuses(compiled, call, ValueError, name, "float32")


def test_start_beyond_float32(compiled: list[str]) -> None:
    start = point(W=np.full((K, D), 1e100))
    refuses(compiled, lambda: ufm.solve(problem(), start=start, dtype="float32"), ValueError, "W", "float32")


TOLERANCES = [0, -1.0, float("nan"), float("inf"), "1e-8", None, True, 1j, np.complex128(1), [1e-8], 10**400]


@pytest.mark.parametrize("name", ["gtol", "gap_tolerance"])
@pytest.mark.parametrize("value", TOLERANCES, ids=short)
def test_certify_tolerance(name: str, value: Any, compiled: list[str]) -> None:
    options = {name: value}
    refuses(compiled, lambda: ufm.certify(problem(), point(), **options), (TypeError, ValueError), f"certify: {name}=")


SCALES = [0, -1.0, float("nan"), float("inf"), "1", None, True, 1j, np.complex128(1), [1.0], 10**400, np.timedelta64(1)]


@pytest.mark.parametrize("entry", ["random_start", "etf_start", "perturb"])
@pytest.mark.parametrize("value", SCALES, ids=short)
def test_scale(entry: str, value: Any, compiled: list[str]) -> None:
    at = (point(),) if entry == "perturb" else ()
    call = getattr(ufm, entry)
    refuses(compiled, lambda: call(problem(), *at, scale=value), (TypeError, ValueError), f"{entry}: scale=")


@pytest.mark.parametrize(("classes", "d"), [(3, 1), (10, 8), (4, 2)])
def test_no_simplex_below_K_minus_1(classes: int, d: int, compiled: list[str]) -> None:
    def call() -> Any:
        return ufm.etf_start(problem(K=classes, d=d))

    refuses(compiled, call, ValueError, f"d={d} has no simplex ETF of K={classes}", f"d >= {classes - 1}")


def test_certify_where_f_overflows(compiled: list[str]) -> None:
    """A point whose value is not finite is an error, not a certificate with NaN in it."""
    with pytest.raises(ValueError, match=r"certify: f=inf .*not finite at this point\. Check the loss and the scale"):
        ufm.certify(problem(), point(W=np.full((K, D), 1e200)))
