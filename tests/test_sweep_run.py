"""Sweeps that run: the rows are those of `ufm.solve`, nothing is done twice, and what goes wrong stays there."""

import os
import re
import signal
import sqlite3
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ufm
from ufm.precision import exact
from ufm.sweep import rows as rows_module
from ufm.sweep.case import explicit
from ufm.sweep.describe import canonical
from ufm.sweep.results import NOT_RUN
from ufm.sweep.rows import FAILED, OUT_OF_MEMORY, WORKER_DIED, failed_row
from ufm.sweep.store import opened, read_rows, write_rows
from ufm.sweep.together import together
from ufm.verify.columns import predicted

BASE = ufm.Problem(K=2, n=2, d=2, lam_W=2e-2, lam_H=1e-2)
GRID = ufm.grid(BASE, lam_W=[1e-2, 2e-2, 3e-2], key=range(4))


@pytest.fixture
def counted(monkeypatch):
    """Rows made without solving, and the cases that were asked for."""
    asked: list[ufm.Case] = []

    def quick(case, size, columns):
        asked.append(case)
        if isinstance(case.start, Trouble):
            return case.start.meet(case, size)
        return failed_row(case, size, "CONVERGED", "") | {"value": case.problem.lam_W * (1 + case.key)}

    def many(cases, size, columns):
        return [quick(case, size, columns) for case in cases]

    monkeypatch.setattr(rows_module, "_rows", many)
    return asked


@dataclass(frozen=True)
class Trouble:
    """A start that makes the case with this key fail in a way of its own."""

    key: int
    kind: str

    def __call__(self, problem, key):
        return ufm.random_start(problem, key)

    def meet(self, case, size):
        if case.key == self.key and self.kind == "memory":
            raise MemoryError("no room")
        if self.kind == "large" and size > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: out of memory allocating")
        extra = {"key": 0.5} if self.kind == "name" else {}
        return failed_row(case, size, "CONVERGED", "") | {"value": float(case.key), **extra}


def values(results):
    return {name: column for name, column in results.columns.items() if name not in ("seconds", "message")}


def equal(one, two):
    assert one.keys() == two.keys()
    for name, column in one.items():
        np.testing.assert_array_equal(column, two[name])


def start_that_raises(problem, key):
    if key == 1:
        raise ZeroDivisionError("not this one")
    return ufm.random_start(problem, key)


def classifier(problem, solution, certificate):
    return {"W": solution.params.W, "balance": certificate.balance, "kind": type(problem.loss).__name__}


def renamed(problem, solution, certificate):
    return {"value": 0.0}


def test_rows_are_what_solve_and_certify_say(tmp_path):
    results = ufm.sweep(GRID, columns=classifier, chunk=5)
    assert (len(results), results.computed, results.notes) == (12, 12, ())
    for i, case in enumerate(GRID.cases):
        solution = ufm.solve(case.problem, case.key, reduce=False)
        certificate = ufm.certify(case.problem, solution.params)
        found = ufm.collapse(solution.params.H, case.problem.labels, solution.params.W)
        assert results["status"][i] == solution.status.name
        # A chunk and one problem are two programs, whose last steps round differently.
        assert results["value"][i] == pytest.approx(solution.value, abs=1e-15)
        assert results["grad_norm"][i] == pytest.approx(solution.grad_norm, abs=1e-16)
        assert results["verdict"][i] == certificate.verdict.name
        assert results["gap"][i] == pytest.approx(certificate.gap, abs=1e-15)
        assert results["nc1"][i] == pytest.approx(found.nc1, rel=1e-2, abs=1e-30)
        assert results["margin_min"][i] == pytest.approx(found.margin_min, abs=1e-12)
        assert results["balance"][i] == pytest.approx(certificate.balance, abs=1e-15)
        np.testing.assert_allclose(results["W"][i], solution.params.W, atol=1e-12)
    assert set(results["seed"].tolist()) == {0, 1, 2, 3}
    assert set(results["chunk"].tolist()) == {5}
    assert len(set(results["code"].tolist())) == 1
    assert set(results["kind"].tolist()) == {"CrossEntropy"}


def test_neither_the_filling_nor_the_neighbours_change_a_bit():
    *asked, last = map(explicit, GRID.cases[:4])
    strict = replace(last, gtol=1e-20)  # below rounding, an error of its own
    short = replace(last, max_steps=1)
    ends = [ufm.solve(c.problem, c.key, reduce=False) for c in asked]
    for neighbours in ((), (explicit(ufm.Case(BASE, 1, start_that_raises)),), (strict,)):
        with exact():
            found = together([*neighbours, *asked], 5)
        assert found[: len(neighbours)] == [None] * len(neighbours)
        for solution, end in zip(found[len(neighbours) :], ends, strict=True):
            assert solution is not None
            assert (solution.value, solution.steps) == (end.value, end.steps)
            np.testing.assert_array_equal(solution.params.H, end.params.H)
    rows = rows_module.run_chunk([strict, short, *asked], 5)
    assert [row["status"] for row in rows] == [FAILED, "MAX_STEPS", *["CONVERGED"] * 3]
    assert "below float64 resolution" in rows[0]["message"]
    assert all(0.0 < row["seconds"] < 60.0 for row in rows)


def test_what_one_call_would_not_help_is_solved_alone():
    large = ufm.Problem(K=2, n=2**15, d=33, lam_W=1e-2, lam_H=1e-2)
    kinks = ufm.Problem(2, 2, 3, 0.1, 0.1, model=ufm.DeepReLU((3,)), loss=ufm.MSE())
    descent = ufm.Case(BASE, solver=ufm.FirstOrder(optax.sgd(0.1)))
    assert together([explicit(ufm.Case(large)), explicit(ufm.Case(kinks)), descent], 64) == [None] * 3


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (3, "columns returned a int. Return {name: number, text or array}."),
        ({"x": object}, "is neither a real number nor text nor an array of numbers."),
        ({"x": 1j}, "columns: x=1j is neither a real number"),
        ({"x": np.array([None])}, "is neither a real number"),
    ],
)
def test_columns_that_no_row_can_hold_are_faults_of_their_rows(returned, said):
    with pytest.raises((TypeError, ValueError), match=re.escape(said)):
        rows_module._further(returned)


@pytest.mark.parametrize("lost", [None, -1])
def test_a_column_with_the_name_of_an_axis_ends_the_sweep_and_keeps_the_rows(tmp_path, counted, lost):
    store, cases = tmp_path / "s.sqlite", [ufm.Case(BASE, key, Trouble(-1, "name")) for key in range(12)]
    grid = ufm.grid(cases[0], key=range(12))
    executor: Any = None if lost is None else Careless(key=lost, lose=0)
    if executor:
        executor._max_workers = 1
    seen = []
    with pytest.raises(
        ValueError, match=r"^sweep: columns returned 'key', which the grid varies. Choose another name."
    ):
        ufm.sweep(grid, store=store, chunk=2, executor=executor, progress=seen.append)
    assert len(counted) == seen[-1].done == (2 if executor is None else 4)  # with a worker, what had begun is written
    before = len(counted)
    with pytest.raises(ValueError, match="returned 'key'"):  # known before anything runs
        ufm.sweep(grid, store=store, progress=seen.append)
    assert len(counted) == before
    assert ufm.sweep(cases, store=store).computed == 12 - before  # an axis of another name


def test_a_column_with_the_name_of_a_number_of_every_row_ends_the_sweep(tmp_path):
    store = tmp_path / "s.sqlite"
    with pytest.raises(
        ValueError, match=r"^sweep: columns returned 'value', which cannot name a further column. Choose"
    ):
        ufm.sweep(GRID, store=store, columns=renamed, chunk=5)
    with opened(store) as held:
        rows = read_rows(held, [key for (key,) in held.connection.execute("SELECT key FROM rows")])[0]
    assert [entry.record["status"] for entry in rows.values()] == ["MISNAMED"] * 5
    assert all(entry.record["value"] > 0.0 for entry in rows.values())


def test_an_axis_with_the_name_of_a_number_of_every_row_is_refused(counted):
    fixed = ufm.Problem(2, 2, 2, lam_H=1e-2, model=ufm.fixed_classifier(np.eye(2)))
    with pytest.raises(ValueError, match=r"^sweep: the grid varies 'value', .* joint axis: \[\{path: value\}\]"):
        ufm.sweep(ufm.grid(fixed, value=[np.eye(2), 2.0 * np.eye(2)]))
    assert not counted
    by_path = ufm.grid(ufm.Case(fixed, start=Trouble(-1, "none")), [{"model.W.value": np.eye(2)}])
    assert ufm.sweep(by_path)["value"].tolist() == [0.0]


def test_columns_are_plain_numbers_text_and_arrays_of_numpy(tmp_path):
    given = {"a": jnp.ones(2), "b": np.float32(2.0), "c": True, "d": None, "e": "text", "f": jnp.asarray(3)}
    held = rows_module._further(given)
    assert {name: type(value) for name, value in held.items()} == {
        "a": np.ndarray, "b": float, "c": bool, "d": float, "e": str, "f": int
    }  # fmt: skip
    assert np.isnan(held["d"])


def test_rows_with_kinks_are_what_solve_says():
    kinks = ufm.Problem(2, 1, 2, 0.01, 0.01, model=ufm.DeepReLU((2,)), loss=ufm.MSE())
    results = ufm.sweep(ufm.grid(kinks, key=range(2)))
    for key in range(2):
        assert results["value"][key] == ufm.solve(kinks, key).value


def test_repeats_have_the_same_bits_and_a_store_gives_them_back(tmp_path):
    first = ufm.sweep(GRID, columns=predicted())
    again = ufm.sweep(GRID, columns=predicted(), store=tmp_path / "s.sqlite")
    with ThreadPoolExecutor(2) as pool:
        threaded = ufm.sweep(GRID, columns=predicted(), executor=pool, chunk=64)
    stored = ufm.sweep(GRID, columns=predicted(), store=tmp_path / "s.sqlite")
    assert stored.computed == 0
    for other in (again, threaded, stored):
        equal(values(first), values(other))
    assert set(first["theorem"].tolist()) == {"T7"}
    assert np.max(np.abs(first["difference"])) < 1e-14
    assert np.max(first["worst"]) < 1e-10
    np.testing.assert_array_equal(first["difference"], first["value"] - first["prediction"])


def test_without_a_theorem_the_prediction_is_undefined():
    unknown = ufm.Problem(K=3, n=(3, 2, 1), d=4, lam_W=1e-2, lam_H=1e-2)
    nothing: Any = None
    row = predicted()(unknown, nothing, nothing)
    assert row["theorem"] == ""
    assert np.all(np.isnan([row["prediction"], row["difference"], row["worst"]]))


def test_metrics_are_undefined_where_there_are_no_classes_or_no_directions():
    def measured(problem, scale=1.0):
        W, H, b = ufm.random_start(problem, scale=scale)
        solution: Any = SimpleNamespace(params=ufm.Params(W, H, b))
        return rows_module._measured(problem, solution)

    alone = measured(ufm.Problem(K=3, n=2, d=3, loss=ufm.SupCon(), model=ufm.contrastive(0.5)))
    assert "W_sq" not in alone
    assert alone["H_sq"] == pytest.approx(6.0)
    assert alone["nc1"] > 0
    regression = measured(ufm.Problem(K=2, n=1, d=2, lam_W=1.0, lam_H=1.0, loss=ufm.MSE(), targets=np.eye(2, 5)))
    assert regression["W_sq"] > 0
    assert "nc1" not in regression
    assert "nc1" in measured(BASE, 1e-3)
    vanished = measured(BASE, 1e-5)
    assert "nc1" not in vanished
    assert vanished["largest_logit"] < 1e-8


def test_a_grid_without_axes_is_one_case(counted):
    results = ufm.sweep(ufm.grid(BASE))
    assert len(results) == 1
    assert results.on_grid("value").shape == ()


def test_a_case_that_diverges_or_raises_has_its_row_and_the_rest_goes_on():
    sgd = ufm.Case(BASE, solver=ufm.FirstOrder(optax.sgd(1.0)), max_steps=200)
    results = ufm.sweep(ufm.grid(sgd, rate=[1e9, 0.5], key=[0]))
    assert results["status"].tolist() == ["NONFINITE", "MAX_STEPS"]
    assert np.isfinite(results["gap"]).tolist() == [False, True]
    results = ufm.sweep(ufm.grid(ufm.Case(BASE, start=start_that_raises), key=range(3)))
    assert results["status"].tolist() == ["CONVERGED", FAILED, "CONVERGED"]
    assert results["message"][1] == "ZeroDivisionError: not this one"
    assert np.isnan(results["value"][1])


def test_nothing_is_computed_twice_and_what_is_new_is_added(tmp_path, counted):
    store = tmp_path / "s.sqlite"
    assert ufm.sweep(GRID, store=store, chunk=5).computed == 12
    assert ufm.sweep(GRID, store=store).computed == 0
    wider = ufm.grid(BASE, lam_W=[1e-2, 2e-2, 3e-2, 4e-2], key=range(5))
    assert ufm.sweep(wider, store=store).computed == 8
    assert len(counted) == 20
    assert ufm.sweep(GRID, store=store, columns=classifier).computed == 12  # other columns, other rows
    twice = [GRID.cases[0], GRID.cases[1], GRID.cases[0]]
    assert ufm.sweep(twice).computed == 2
    assert ufm.sweep(twice)["value"].tolist() == [1e-2, 2e-2, 1e-2]


def test_cases_of_one_shape_are_done_together(counted):
    ufm.sweep(ufm.grid(BASE, key=range(2), d=[2, 3], lam_b=[None, 0.1]), chunk=3)
    shapes = [(case.problem.d, case.problem.lam_b is None) for case in counted]
    assert shapes == [(2, True)] * 2 + [(2, False)] * 2 + [(3, True)] * 2 + [(3, False)] * 2


def test_a_chunk_that_does_not_fit_is_halved_and_the_result_says_so(counted):
    grid = ufm.grid(ufm.Case(BASE, start=Trouble(-1, "large")), key=range(20))
    results = ufm.sweep(grid, chunk=8)
    assert results["status"].tolist() == ["CONVERGED"] * 20
    assert results["value"].tolist() == list(range(20))
    assert set(results["chunk"].tolist()) == {2}
    assert results.notes == ("a chunk of 8 cases did not fit, and was done in parts of 2",)
    grid = ufm.grid(ufm.Case(BASE, start=Trouble(3, "memory")), key=range(6))
    results = ufm.sweep(grid, chunk=4)
    assert results["status"].tolist() == ["CONVERGED"] * 3 + [OUT_OF_MEMORY] + ["CONVERGED"] * 2
    assert "no room" in results["message"][3]


def test_faults_of_the_machine_are_tried_again_and_answers_of_the_solver_are_not(tmp_path, counted):
    store = tmp_path / "s.sqlite"
    grid = ufm.grid(ufm.Case(BASE, start=Trouble(3, "memory")), key=range(6))
    assert ufm.sweep(grid, store=store).computed == 6
    assert ufm.sweep(grid, store=store).computed == 1
    with opened(store) as held:
        keys = [key for (key,) in held.connection.execute("SELECT key FROM rows")]
        found = read_rows(held, keys)[0]
        held.connection.execute("DELETE FROM rows")
        write_rows(held, [(canonical(e.configuration), e.record | {"status": "NONFINITE"}) for e in found.values()])
    assert ufm.sweep(grid, store=store).computed == 0


class Careless(Executor):
    """Runs at once, and loses the worker of every chunk that has a certain key; of others too, `lose` times."""

    def __init__(self, key, lose):
        self.key, self.lose, self.sizes = key, lose, []

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        self.sizes.append(len(args[0]))
        if self.lose > 0 or any(case.key == self.key for case in args[0]):
            self.lose -= 1
            future.set_exception(BrokenExecutor("a worker died"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_a_lost_worker_costs_no_row(counted):
    executor = Careless(key=-1, lose=2)
    results = ufm.sweep(GRID, executor=executor, chunk=4)
    assert results["status"].tolist() == ["CONVERGED"] * 12
    assert sorted(executor.sizes) == [4] * 5


@pytest.mark.parametrize("workers", [None, 0, 1, 3])
def test_whatever_an_executor_says_of_its_workers_every_chunk_is_run(counted, workers):
    executor: Any = Careless(key=-1, lose=0)
    executor._max_workers = workers
    assert ufm.sweep(GRID, executor=executor, chunk=4)["status"].tolist() == ["CONVERGED"] * 12


def test_the_case_that_ends_its_workers_is_found(counted):
    results = ufm.sweep(ufm.grid(BASE, key=range(10)), executor=Careless(key=6, lose=0), chunk=8)
    assert results["status"].tolist() == ["CONVERGED"] * 6 + [WORKER_DIED] + ["CONVERGED"] * 3
    assert results["message"][6] == "BrokenExecutor: a worker died"


@dataclass(frozen=True)
class KillsOnce:
    """A start that ends its process, the first time; then it raises, which takes no compilation to see."""

    mark: str

    def __call__(self, problem, key):
        if key == 2 and not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError(f"{key} in {os.getpid()}")


def test_a_pool_outlives_a_worker_that_is_killed(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    mark = str(tmp_path / "mark")
    grid = ufm.grid(ufm.Case(BASE, start=KillsOnce(mark)), key=range(4))
    with ufm.SpawnPool(1) as pool:
        results = ufm.sweep(grid, executor=pool, chunk=2)
        threads = pool.submit(os.getenv, "OPENBLAS_NUM_THREADS").result()
    assert threads == str(os.cpu_count())  # one worker has all the cores, and this process is as it was
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    assert os.path.exists(mark)
    told = [message.split() for message in results["message"]]
    assert [words[:2] for words in told] == [["ZeroDivisionError:", str(key)] for key in range(4)]
    processes = [int(words[-1]) for words in told]
    assert processes[0] == processes[1] != processes[2] == processes[3]
    assert os.getpid() not in processes


@pytest.mark.filterwarnings("default")  # of the cluster's own libraries
def test_a_dask_cluster_is_an_executor(tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    mark = tmp_path / "mark"
    mark.touch()  # nothing is killed
    grid = ufm.grid(ufm.Case(BASE, start=KillsOnce(str(mark))), key=range(4))
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        results = ufm.sweep(grid, executor=client.get_executor(), chunk=2)
    told = [message.split() for message in results["message"]]
    assert [words[:2] for words in told] == [["ZeroDivisionError:", str(key)] for key in range(4)]
    assert str(os.getpid()) not in {words[-1] for words in told}


def test_what_cannot_go_to_another_process_is_refused():
    local = lambda problem, key: ufm.random_start(problem, key)  # noqa: E731
    with ufm.SpawnPool(1) as pool, pytest.raises(TypeError, match="cannot go to another process"):
        ufm.sweep(ufm.grid(ufm.Case(BASE, start=local)), executor=pool)


@pytest.mark.parametrize("pool", [None, 2])
def test_an_interrupt_stops_after_the_chunk_and_the_rest_comes_later(tmp_path, counted, pool):
    before = signal.getsignal(signal.SIGINT)
    executor = None if pool is None else Careless(key=-1, lose=0)
    results = ufm.sweep(GRID, store=tmp_path / "s.sqlite", chunk=1, executor=executor, progress=interrupt_once())
    assert signal.getsignal(signal.SIGINT) is before
    assert results.interrupted
    done = results["status"] == "CONVERGED"
    assert 0 < np.sum(done) < 12 or pool is not None
    assert set(results["status"][~done].tolist()) <= {NOT_RUN}
    results = ufm.sweep(GRID, store=tmp_path / "s.sqlite")
    assert results.computed == 12 - np.sum(done)
    assert not results.interrupted
    with pytest.raises(KeyboardInterrupt):
        ufm.sweep(GRID, chunk=1, progress=interrupt_twice)
    assert signal.getsignal(signal.SIGINT) is before


def interrupt_once():
    calls = []

    def act(progress):
        calls.append(progress)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)

    return act


def interrupt_twice(progress):
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def test_what_another_writer_did_in_the_meantime_is_not_done_again(tmp_path, counted):
    store = tmp_path / "s.sqlite"
    other = tmp_path / "other.sqlite"
    ufm.sweep(GRID, store=other)
    counted.clear()

    def arrive(progress):
        ufm.merge_stores(store, [other])

    results = ufm.sweep(GRID, store=store, chunk=4, progress=arrive)
    assert len(counted) == results.computed == 4
    assert results["status"].tolist() == ["CONVERGED"] * 12


def test_progress_counts_what_is_left(counted):
    seen = []
    ufm.sweep(ufm.grid(ufm.Case(BASE, start=Trouble(1, "memory")), key=range(5)), chunk=2, progress=seen.append)
    assert [(now.done, now.failed, now.total) for now in seen] == [(2, 1, 5), (4, 1, 5), (5, 1, 5)] or [
        (now.done, now.failed, now.total) for now in seen
    ] == [(2, 1, 5), (3, 1, 5), (4, 1, 5), (5, 1, 5)]
    assert all(now.rate > 0 for now in seen)
    assert seen[-1].seconds_left == 0.0


CHANGE = """UPDATE rows SET record = CAST(replace(record, '"value":0.04', '"value":0.05') AS BLOB)"""


def test_a_damaged_row_is_named_and_computed_again(tmp_path, counted):
    store = tmp_path / "s.sqlite"
    first = ufm.sweep(GRID, store=store)
    with sqlite3.connect(store) as connection:
        connection.execute(CHANGE)
    connection.close()
    counted.clear()
    results = ufm.sweep(GRID, store=store)
    assert results.computed == len(counted) == 2
    told = sorted(note.split(" was damaged")[0].split(" ", 3)[3] for note in results.notes)
    assert told == ["(lam_W=0.01, key=3)", "(lam_W=0.02, key=1)"]
    equal(values(first), values(results))


def test_rows_of_deep_models_are_of_the_last_matrix_and_of_what_it_sees():
    problem = ufm.Problem(3, 2, 4, 0.1, 0.1, model=ufm.DeepReLU((5,)), loss=ufm.MSE())
    params = ufm.random_start(problem, 0)
    first, last = params.W
    seen = np.maximum(first @ params.H, 0.0)
    solved: Any = SimpleNamespace(params=params)
    row = rows_module._measured(problem, solved)
    assert row["W_sq"] == pytest.approx(np.sum(first**2) + np.sum(last**2), rel=1e-14)
    assert row["largest_logit"] == pytest.approx(np.max(np.abs(last @ seen)), rel=1e-13)
    assert row["nc1"] == pytest.approx(ufm.collapse(seen, problem.labels, last).nc1, rel=1e-10)
