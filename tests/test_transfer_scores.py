"""Transferability scores: reference values, invariances, ranges, where they fail; the probe and the ranking."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal, ortho_group
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression

from ufm import transfer
from ufm.transfer.pool import ncti_parts
from ufm.transfer.probe import fit_probe, probe_accuracy

# The values of public codes on the data below, NCTI's before it is set against a pool.
REFERENCE = {
    "nc1": 0.024753759191399032,
    "trace_ratio": 0.763295188655303,
    "vci": 0.022838019800567433,
    "cdnv": 0.307081875981602,
    "h_score": 3.89092698533827,
    "h_score_shrunk": 3.889111466093219,
    "transrate": 108.10051434863811,
    "logme": 0.8758258898882267,
}
NCTI = (488.046821433657, 1.0, 3.7834904139039596)


def reference_data():
    g = np.random.Generator(np.random.PCG64(2024))
    counts, M = (40, 60, 80, 100, 120), g.standard_normal((5, 96))
    y = np.repeat(np.arange(5), counts)
    return M[y] + 0.8 * g.standard_normal((400, 96)), y


def blobs(n, d, K=3, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(K), n)
    return 1.5 * rng.standard_normal((K, d))[y] + spread * rng.standard_normal((K * n, d)), y


def wrong(value: Any) -> Any:
    """Of a type that is not allowed."""
    return value


H, Y = blobs(20, 6)


def test_reference_values():
    X, y = reference_data()
    assert X.sum() == pytest.approx(109.43857729222503, abs=1e-9)
    found = transfer.scores(X, y)
    assert found.notes == ()
    for name, value in REFERENCE.items():
        assert found.values[name] == pytest.approx(value, abs=1e-8), name
    np.testing.assert_allclose(ncti_parts(X, y), NCTI, atol=1e-8)
    assert set(found.values) == set(transfer.SCORES)


def test_invariances_are_those_that_the_docstrings_state():
    rng = np.random.default_rng(1)
    Q, order, names = ortho_group.rvs(6, random_state=2), rng.permutation(60), np.array([7, -3, 12])
    moves = {
        "rotation": (H @ Q, Y),
        "order": (H[order], Y[order]),
        "names": (H, names[Y]),
        "shift": (H + rng.standard_normal(6), Y),
        "scale": (3.0 * H, Y),
        "linear": (H @ (np.eye(6) + 0.3 * rng.standard_normal((6, 6))), Y),
    }
    may_change = {name: {"linear"} for name in ("nc1", "trace_ratio", "cdnv", "ncc_error", "h_score_shrunk")}
    may_change |= {"transrate": {"scale", "linear"}, "logme": {"shift", "linear"}, "vci": set(), "h_score": set()}
    may_change["numerical_rank"] = {"shift", "linear"}
    before = transfer.scores(H, Y).values
    for move, (X, y) in moves.items():
        for name, value in transfer.scores(X, y).values.items():
            rtol = 1e-3 if (move, name) == ("scale", "logme") else 1e-9  # 1e-5 in two denominators is not scaled
            if move not in may_change[name]:
                assert value == pytest.approx(before[name], rel=rtol), (move, name)
            elif name != "ncc_error":
                assert value != pytest.approx(before[name], rel=1e-6), (move, name)


def test_each_score_prefers_the_better_features():
    """Less noise: every score but the numerical rank says so; all stay within their ranges."""
    better, worse = (transfer.scores(*blobs(30, 6, spread=s)).values for s in (0.5, 2.0))
    for name, score in transfer.SCORES.items():
        for value in (better[name], worse[name]):
            assert score.low <= value <= score.high
        if name not in ("numerical_rank", "transrate"):
            assert (better[name] > worse[name]) == score.higher, name
    ratio = transfer.nc1(H, Y, ddof=1) / transfer.nc1(H, Y)
    assert ratio == pytest.approx(20 / 19, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(5, 40), (3, 100)])
def test_noise_without_classes_has_finite_scores(n, d):
    """NC1 (n-1)(K-1)/(d-K) on average, which depends on d, and CDNV about (n-1)/2, which does not."""
    rng, y = np.random.default_rng(0), np.repeat(np.arange(10), n)
    noise = [rng.standard_normal((10 * n, d)) for _ in range(20)]
    assert np.mean([transfer.nc1(X, y) for X in noise]) == pytest.approx((n - 1) * 9 / (d - 10), rel=0.06)
    assert np.mean([transfer.cdnv(X, y) for X in noise]) == pytest.approx((n - 1) / 2, rel=0.1)


def test_where_scores_fail_they_say_so():
    X, y = blobs(4, 30)
    found = transfer.scores(X, y)
    assert found.values["vci"] == pytest.approx(0.0, abs=1e-10)
    assert found.values["h_score"] == pytest.approx(2.0, abs=1e-10)
    assert "N=12 samples in d=30 dimensions" in found.notes[0]
    low_rank = transfer.vci(X[:, :2] @ np.random.default_rng(0).standard_normal((2, 30)), y)
    assert low_rank == pytest.approx(transfer.vci(X[:, :2], y), rel=1e-9)
    assert low_rank > 0.01
    assert "N=12 samples in d=30" in str(transfer.rank_models({"a": X}, y, bootstrap=0))
    noisier = transfer.h_score_shrunk(*blobs(4, 30, spread=4.0))
    assert 0.0 < noisier < found.values["h_score_shrunk"] < 2.0 * 12 / 11
    one = transfer.scores(np.eye(3), np.arange(3), ddof=1)
    assert "one sample" in one.notes[-1]
    assert np.isnan(one.values["nc1"])
    flat = transfer.scores(np.ones((4, 2)), [0, 0, 1, 1]).values
    assert all(np.isnan(flat[name]) for name in ("nc1", "trace_ratio", "cdnv", "vci", "h_score", "ncc_error"))
    assert np.isnan(flat["h_score_shrunk"])
    assert np.isnan(transfer.logme(np.zeros((4, 2)), [0, 0, 1, 1]))


@pytest.mark.parametrize(("n", "d"), [(20, 6), (3, 15)])
def test_logme_is_the_largest_evidence(n, d):
    """Against the Gaussian log density of each one-hot column, alpha = 1/a and beta = 1/b by two searches."""
    X, y = blobs(n, d)

    def smallest(function, *bounds) -> float:
        found: Any = minimize_scalar(function, bounds=bounds, method="bounded")
        return found.fun

    def least(column, t):
        return smallest(lambda b: -density(column, t, b), -8.0, 3.0)

    def density(column, t, b):
        covariance = np.exp(b) * np.eye(len(X)) + np.exp(b - t) * X @ X.T
        return multivariate_normal.logpdf(column, np.zeros(len(X)), covariance) / len(X)

    columns = [(y == k).astype(float) for k in range(3)]
    best = [-smallest(lambda t, c=c: least(c, t), -3.0, 9.0) for c in columns]
    assert transfer.logme(X, y) == pytest.approx(np.mean(best), abs=3e-3)  # 1e-5 in the denominators


def test_the_shrinkage_is_ledoit_and_wolfs():
    for X, y in ((H, Y), blobs(3, 15)):
        oracle = LedoitWolf().fit(X)
        means = np.stack([X[y == k].mean(axis=0) for k in range(3)])[y]
        between = (1.0 - oracle.shrinkage_) * np.cov(means, rowvar=False)
        expected = np.trace(np.linalg.solve(oracle.covariance_, between))
        assert transfer.h_score_shrunk(X, y) == pytest.approx(expected, rel=1e-10)


def test_ncti_is_relative_to_its_pool():
    pool = {name: blobs(12, 6, spread=s)[0] for name, s in (("good", 0.3), ("middle", 1.0), ("bad", 3.0))}
    y = np.repeat(np.arange(3), 12)
    found = transfer.ncti(pool, y)
    assert found["good"] > found["middle"] > found["bad"]
    assert all(-1.0 <= value <= 2.0 for value in found.values())
    pair = transfer.ncti({name: pool[name] for name in ("middle", "bad")}, y)
    assert pair["middle"] != pytest.approx(found["middle"], abs=1e-3)
    assert found == pytest.approx({name: transfer.ncti(pool | {"flat": np.ones((36, 6))}, y)[name] for name in pool})
    assert np.isnan(transfer.ncti(pool | {"flat": np.ones((36, 6))}, y)["flat"])
    with pytest.raises(ValueError, match=r"ncti: needs two models .* Pass"):
        transfer.ncti({"one": H}, Y)
    with pytest.raises(ValueError, match=r"ncti: 3 samples of 3 classes. Pass"):
        transfer.ncti({"one": np.eye(3), "two": np.eye(3)}, [0, 1, 2])


def test_the_probe_is_the_minimum_and_scikit_learns():
    probe = fit_probe(H, Y, strengths=(0.03,))
    Z = (H - probe.mean) / probe.scale
    assert np.mean(Z**2) == pytest.approx(1.0)
    P = np.exp(Z @ probe.W.T + probe.b)
    error = P / P.sum(axis=1, keepdims=True) - np.eye(3)[Y]
    np.testing.assert_allclose(error.T @ Z / 60 + 0.03 * probe.W, 0.0, atol=1e-5)
    np.testing.assert_allclose(np.sum(error, axis=0) / 60, 0.0, atol=1e-5)
    oracle = LogisticRegression(C=1.0 / (0.03 * 60), tol=1e-8).fit(Z, Y)
    np.testing.assert_allclose(probe.W, oracle.coef_, atol=1e-3)
    assert probe_accuracy(probe, H, Y) == oracle.score(Z, Y)
    assert probe_accuracy(probe, H, Y + 3) == 0.0


def test_the_probe_chooses_its_strength_and_stays_put_under_similarities():
    Q = ortho_group.rvs(6, random_state=2)
    X, y = blobs(40, 6, spread=2.5, seed=3)
    one, two = fit_probe(H, Y), fit_probe(5.0 * H @ Q + 1.0, Y + 2)
    assert one.strength == two.strength
    np.testing.assert_allclose(two.W @ Q.T, one.W, atol=1e-4)
    assert fit_probe(X, y).strength > fit_probe(*blobs(40, 6, spread=0.5, seed=3)).strength
    assert fit_probe(np.eye(3), [0, 1, 2]).strength == 1e-2  # nothing to validate with: the middle one


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: transfer.scores(H, Y * 0), ValueError, "scores: all labels are 0, need two classes. Pass"),
        (lambda: transfer.scores(H, Y[1:]), ValueError, "scores: labels have shape .* Pass"),
        (lambda: transfer.scores(H[:, 0], Y), ValueError, "scores: features has shape .* Pass"),
        (lambda: transfer.scores(H, Y + 0.5), TypeError, "scores: labels have dtype float64, .* Pass"),
        (lambda: transfer.scores(H * np.nan, Y), ValueError, "non-finite entries. Pass"),
        (lambda: transfer.scores([[1j], [2.0]], [0, 1]), TypeError, "dtype complex128, .* Pass"),
        (lambda: transfer.logme(H, Y * 0), ValueError, "logme: all labels are 0, .* Pass"),
        (lambda: transfer.transrate(H, Y, eps=0.0), ValueError, "transrate: eps=0.0 is not a finite .* Pass"),
        (lambda: fit_probe(H, Y * 0), ValueError, "fit_probe: all labels are 0, .* Pass"),
        (lambda: transfer.transrate(H, Y, eps=np.nan), ValueError, "transrate: eps=nan is not a finite"),
        (lambda: transfer.scores(H, Y, ddof=2), ValueError, "scores: ddof=2 is neither 0 nor 1. Pass"),
        (lambda: transfer.nc1(H, Y, wrong(0.5)), TypeError, "nc1: ddof=0.5 is not an integer. Pass"),
        (lambda: fit_probe(H, Y, strengths=()), ValueError, r"fit_probe: strengths=\(\) is no list of decays. Pass"),
        (
            lambda: fit_probe(H, Y, strengths=wrong(0.1)),
            ValueError,
            "fit_probe: strengths=0.1 is no list of decays. Pass",
        ),
        (lambda: fit_probe(H, Y, key=-1), ValueError, "fit_probe: key=-1"),
        (lambda: probe_accuracy(fit_probe(H, Y), H[:, :2], Y), ValueError, "features have d=2, the probe d=6. Pass"),
        (lambda: fit_probe(H, Y, strengths=(-1.0,)), ValueError, "fit_probe: a strength=-1.0 .* Pass"),
        (lambda: transfer.rank_models({}, Y), ValueError, "rank_models: pool is a dict with no named model. Pass"),
        (
            lambda: transfer.rank_models(wrong([H]), Y),
            ValueError,
            "rank_models: pool is a list with no named model. Pass",
        ),
        (lambda: transfer.rank_models({"a": H, "b": H * np.nan}, Y), ValueError, "model 'b': features has .* Pass"),
        (lambda: transfer.rank_models(wrong({"1": H, 1: H}), Y), ValueError, "two models are called '1'. Pass"),
        (lambda: transfer.rank_models({"a": H}, Y, bootstrap=1), ValueError, "bootstrap=1 tells no interval. Pass 20"),
        (lambda: transfer.rank_models({"a": H}, Y, score="nc"), ValueError, "score='nc' is none. Did you mean 'nc1'"),
        (lambda: transfer.rank_models({"a": H}, Y, bootstrap=-1), ValueError, "rank_models: bootstrap=-1 .* Pass"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_models_are_ranked_with_intervals_and_a_reason():
    pool = {name: blobs(30, 6, spread=s)[0] for name, s in (("bad", 3.0), ("good", 0.3), ("middle", 1.0))}
    y = np.repeat(np.arange(3), 30)
    plenty = transfer.rank_models(pool, y, bootstrap=40)
    assert plenty.names == ("good", "middle", "bad")
    assert (plenty.score, plenty.higher) == ("vci", False)
    assert "30 samples in the smallest class, 90 in all, d <= 6: plenty" in plenty.reason
    assert np.all((plenty.low <= plenty.values) & (plenty.values <= plenty.high))
    assert plenty.first.tolist() == [1.0, 0.0, 0.0]
    few = transfer.rank_models({name: X[::6] for name, X in pool.items()}, y[::6], bootstrap=40)
    assert (few.score, few.names[0]) == ("cdnv", "good")
    assert few.table[0].values["nc1"] == transfer.nc1(pool["good"][::6], y[::6], ddof=1)
    assert str(few).startswith("ranked by cdnv (lower is better): 5 samples in the smallest class, 15 in all")
    other = transfer.rank_models(pool | {"none": np.ones((90, 2))}, y, score="cdnv", bootstrap=0)
    assert other.names == ("good", "middle", "bad", "none")
    assert other.reason == "as asked for"
    assert np.all(np.isnan(other.low))
    assert [table.values["cdnv"] for table in other.table[:3]] == other.values[:3].tolist()


def test_intervals_cover_what_other_samples_show():
    """Of 20 sets of 25 samples a class, most 95 % intervals hold the value of 5000 a class."""
    truth = transfer.nc1(*blobs(5000, 4, spread=1.5, seed=5))
    M = 1.5 * np.random.default_rng(5).standard_normal((3, 4))
    y, rng, inside = np.repeat(np.arange(3), 25), np.random.default_rng(6), 0
    for key in range(20):
        found = transfer.rank_models(
            {"a": M[y] + 1.5 * rng.standard_normal((75, 4))}, y, score="nc1", bootstrap=50, key=key
        )
        inside += found.low[0] <= truth <= found.high[0]
    assert inside >= 15


@pytest.mark.parametrize(
    ("score", "n", "d"),
    [("cdnv", 5, 40), ("vci", 10, 20), ("logme", 5, 40), ("h_score_shrunk", 10, 20), ("numerical_rank", 5, 40)],
)
def test_intervals_hold_their_value_where_repeats_change_the_score(score, n, d):
    """A sample drawn twice has no noise against itself: of few samples every resample scores better, or worse."""
    X, y = blobs(n, d, spread=2.0)
    found = transfer.rank_models({"same": X, "again": X}, y, score=score, bootstrap=20)
    assert np.all((found.low < found.values) & (found.values < found.high))
    assert found.first.tolist() == [0.5, 0.5]


def test_intervals_cover_the_scores_of_as_many_other_samples():
    """Of 20 sets of 5 samples a class in 40 dimensions, most intervals of CDNV hold the mean over 200 such sets."""
    M = np.random.default_rng(5).standard_normal((4, 40))
    y, rng, inside = np.repeat(np.arange(4), 5), np.random.default_rng(6), 0

    def drawn():
        return M[y] + 2.0 * rng.standard_normal((20, 40))

    mean = np.mean([transfer.cdnv(drawn(), y) for _ in range(200)])
    for key in range(20):
        found = transfer.rank_models({"a": drawn()}, y, score="cdnv", bootstrap=40, key=key)
        inside += found.low[0] <= mean <= found.high[0]
    assert inside >= 16


def test_intervals_of_what_has_no_spread_or_no_value():
    """Collapsed features score 0 in every resample; equal features have no class means, and are never the best."""
    y = np.repeat(np.arange(3), 4)
    pool = {"flat": np.ones((12, 3)), "collapsed": np.eye(3)[y], "apart": blobs(4, 3)[0]}
    for score in ("cdnv", "ncc_error"):
        found = transfer.rank_models(pool, y, score=score, bootstrap=20)
        place = found.names.index("collapsed")
        assert (found.low[place], found.values[place], found.high[place]) == (0.0, 0.0, 0.0)
        assert found.names[-1] == "flat"
        assert np.isnan(found.low[-1])
        assert found.first[-1] == 0.0
        assert sum(found.first) == pytest.approx(1.0)
    assert transfer.rank_models({"flat": pool["flat"]}, y, score="cdnv", bootstrap=20).first.tolist() == [0.0]


def test_scores_need_arrays_alone():
    """No equinox: their modules import neither it nor anything of ufm that does."""
    folder = Path(transfer.__file__).parent
    for name in ("evidence", "pool", "probe", "ranking", "scores"):
        nodes = ast.walk(ast.parse((folder / f"{name}.py").read_text()))
        found = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        assert not {node.module for node in found if (node.module or "").startswith(("equinox", "ufm.networks"))}
