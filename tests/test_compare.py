"""`compare` on points whose every quantity is known, built here from a simplex ETF."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import ufm
from ufm.verify.compare import LABELS, compare, measure, representatives
from ufm.verify.predict import predict

K, n, d = 4, 3, 5
SIMPLEX = np.eye(K) - 1.0 / K
PROBLEM = ufm.Problem(K=K, n=n, d=d, lam_W=2e-2, lam_H=3e-2, lam_b=1e-2)


def etf(width=2.0, height=0.5, b=(0.1, -0.2, 0.3, 0.0)):
    """W W^T = width^2 P, M^T M = height^2 P, W M = width height P, with the bias b."""
    frame = np.pad(np.linalg.svd(SIMPLEX)[0][:, : K - 1], ((0, 0), (0, d - K + 1)))
    return ufm.Params(width * frame, np.repeat(height * frame.T, n, axis=1), np.array(b))


def exact_quantities() -> dict[str, Any]:
    width, height, b = 2.0, 0.5, np.array([0.1, -0.2, 0.3, 0.0])
    scores = width * height * SIMPLEX + b[:, None]
    data_loss = float(np.mean(np.log(np.sum(np.exp(scores), axis=0)) - np.diag(scores)))
    W_sq, H_sq = width**2 * (K - 1), height**2 * (K - 1) * n
    lead = (np.diag(scores) - scores)[~np.eye(K, dtype=bool)]
    return {
        "value": data_loss + (2e-2 * W_sq + 3e-2 * H_sq + 1e-2 * float(b @ b)) / 2,
        "data_loss": data_loss,
        "W_sq": W_sq,
        "H_sq": H_sq,
        "b": b,
        "gram_W": width**2 * SIMPLEX,
        "gram_M": height**2 * SIMPLEX,
        "logits": width * height * SIMPLEX,
        "sigma_Z": np.array([width * height * np.sqrt(n)] * (K - 1) + [0.0]),
        "margin": float(np.min(lead)),
        "nullity": 9,
    }


def stated(**quantities: Any) -> Any:
    return SimpleNamespace(theorem="T0", statement="Made for this test.", source="here", quantities=quantities)


def counted(nullity: int | None) -> Any:
    return SimpleNamespace(nullity=nullity)


def test_every_quantity_is_measured_exactly():
    found = compare(PROBLEM, etf(), stated(**exact_quantities()), certificate=counted(9))
    assert [row.name for row in found.rows] == list(LABELS)
    assert max(row.difference for row in found.rows) < 1e-14


@pytest.mark.parametrize("name", [name for name in LABELS if name != "nullity"])
def test_the_difference_is_the_largest_over_all_entries(name):
    moved = exact_quantities()
    moved[name] = moved[name] + (0.25 if np.ndim(moved[name]) == 0 else 0.25 * np.eye(K)[1] * 1.0)
    rows = {row.name: row for row in compare(PROBLEM, etf(), stated(**moved)).rows}
    assert rows[name].difference == pytest.approx(0.25, abs=1e-14)
    assert all(row.difference < 1e-14 for other, row in rows.items() if other != name)


def test_the_nullity_is_read_from_the_certificate():
    prediction = stated(value=1.0, nullity=9)
    assert [row.name for row in compare(PROBLEM, etf(), prediction).rows] == ["value"]
    assert compare(PROBLEM, etf(), prediction, certificate=counted(7)).rows[1].difference == 2.0
    uncounted = compare(PROBLEM, etf(), prediction, certificate=counted(None))
    assert np.isnan(uncounted.rows[1].difference)
    assert "not counted" in str(uncounted)


def test_a_free_bias_is_compared_without_its_mean_only_if_the_loss_allows():
    shifted = etf(b=(1.1, 0.8, 1.3, 1.0))
    expected = stated(b=np.array([0.05, -0.25, 0.25, -0.05]))
    for lam_b, loss, difference in (
        (0.0, ufm.CrossEntropy(), 0.0),
        (0.0, ufm.MSE(), 1.05),
        (1e-2, ufm.CrossEntropy(), 1.05),
    ):
        problem = ufm.Problem(K=K, n=n, d=d, lam_W=1.0, lam_H=1.0, lam_b=lam_b, loss=loss)
        assert compare(problem, shifted, expected).rows[0].difference == pytest.approx(difference, abs=1e-14)


def test_a_merged_problem_has_the_same_quantities():
    from ufm.reduction import merge, merge_params

    full, merged = etf(), merge_params(PROBLEM, etf())
    before, after = measure(PROBLEM, full), measure(merge(PROBLEM), merged)
    assert set(before) == set(after)
    assert max(np.max(np.abs(before[name] - after[name])) for name in before) < 1e-14


def test_an_unbiased_model_and_fewer_features_than_classes():
    problem = ufm.Problem(K=K, n=n, d=2, lam_W=1.0, lam_H=1.0)
    found = measure(problem, ufm.Params(np.ones((K, 2)), np.ones((2, K * n)), None))
    assert "b" not in found
    np.testing.assert_allclose(found["sigma_Z"], [2 * np.sqrt(K * K * n), 0, 0, 0], atol=1e-14)


def test_a_prediction_of_something_else_is_refused():
    with pytest.raises(ValueError, match="states 'wisdom', which is not measured"):
        compare(PROBLEM, etf(), stated(wisdom=1.0))
    with pytest.raises(ValueError, match=r"gram_W of shape \(2, 2\), the point has shape \(4, 4\)"):
        compare(PROBLEM, etf(), stated(gram_W=np.eye(2)))
    unbiased = ufm.Problem(K=K, n=n, d=d, lam_W=1.0, lam_H=1.0)
    with pytest.raises(ValueError, match=r"b of shape \(4,\), the point has nothing"):
        compare(unbiased, etf()._replace(b=None), stated(b=np.zeros(K)))


def test_arrays_are_shown_by_the_entry_that_differs_most():
    moved = exact_quantities()
    moved["gram_W"] = moved["gram_W"] + 0.5 * np.eye(K)[:, [2]] @ np.eye(K)[[0]]
    diagonal, rest = representatives(compare(PROBLEM, etf(), stated(gram_W=moved["gram_W"])).rows)
    assert (diagonal.label, rest.label) == ("W W^T diagonal", "W W^T off-diagonal")
    assert diagonal.predicted == pytest.approx(3.0)
    assert rest.predicted - rest.found == pytest.approx(0.5)
    assert rest.difference == pytest.approx(0.5)


def test_the_table_is_aligned_and_readable():
    text = str(compare(PROBLEM, etf(), stated(**exact_quantities()), certificate=counted(9)))
    heading, *lines = text.splitlines()
    assert heading == "T0: Made for this test."
    assert {len(line) for line in lines} == {74}
    points = {line.index(".", 20) for line in lines[1:-1]}
    assert len(points) == 1, "decimal points stand in one column"
    assert lines[-1].split() == ["zero", "modes", "9", "9", "0"]


def test_numbers_of_any_size_fit_the_table():
    quantities = {"H_sq": 1e-7, "W_sq": 3e9, "margin": -0.0, "data_loss": 0.0}
    text = str(compare(PROBLEM, etf(0.0, 0.0, (0, 0, 0, 0)), stated(**quantities)))
    assert "1.000000000e-07" in text
    assert "3.000000000e+09" in text
    assert "-0.0" not in text
    assert {len(line) for line in text.splitlines()[1:]} == {74}


def test_predict_refuses_what_is_no_problem():
    with pytest.raises(ValueError, match="lam_W=0 has no minimiser"):
        predict(ufm.Problem(K=2, n=3, d=3, lam_W=0.0, lam_H=0.1))
