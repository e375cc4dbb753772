"""The executable literature: outcomes, the runner, the command; every claim of the default grid holds."""

import contextlib
import dataclasses
import json
import math
import pathlib
import re
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import theory
import ufm
import ufm.cli
from ufm.face.verify import render
from ufm.verify import runner
from ufm.verify.claim import AtLeast, AtMost, Claim, Measurement, Outcome, judge
from ufm.verify.claims import TOPICS
from ufm.verify.experiment import quantities, settle


def claim(predicted, settings=((),)) -> Claim:
    def predict(setting):
        if isinstance(predicted, Exception):
            raise predicted
        return predicted

    return Claim(*["x"] * 5, settings=lambda full: settings, measure=lambda setting: Measurement(), predict=predict)


@pytest.mark.parametrize(
    ("predicted", "values", "outcome"),
    [
        ({"f": 1.0}, {"f": 1.0 + 1e-9}, Outcome.HOLDS),
        ({"f": 1.0}, {"f": 1.0 + 3e-9}, Outcome.VIOLATED),
        ({"f": np.ones((2, 2))}, {"f": np.array([[1.0, 1.0], [1.0, 1.0 + 3e-9]])}, Outcome.VIOLATED),
        ({"f": np.ones(2)}, {"f": np.ones(3)}, Outcome.VIOLATED),
        ({"f": 1.0}, {"f": math.nan}, Outcome.INCONCLUSIVE),
        ({"f": math.nan}, {"f": 1.0}, Outcome.INCONCLUSIVE),
        ({"f": 1.0, "g": 2.0}, {"f": 1.0}, Outcome.INCONCLUSIVE),
        ({}, {"f": 1.0}, Outcome.INCONCLUSIVE),
        ({"f": math.nan, "g": 1}, {"f": 1.0, "g": 2}, Outcome.VIOLATED),
        ({"verdict": "GLOBAL_MINIMUM"}, {"verdict": "STRICT_SADDLE"}, Outcome.VIOLATED),
        ({"verdict": "STRICT_SADDLE"}, {"verdict": "STRICT_SADDLE"}, Outcome.HOLDS),
        ({"n": 3}, {"n": 4}, Outcome.VIOLATED),
        ({"f": AtLeast(1.0)}, {"f": 1.0 - 1e-9}, Outcome.HOLDS),
        ({"f": AtLeast(1.0)}, {"f": 0.9}, Outcome.VIOLATED),
        ({"f": AtMost(1.0)}, {"f": np.array([0.0, 1.1])}, Outcome.VIOLATED),
        ({"f": AtMost(1.0)}, {"f": np.array([0.0, 0.1])}, Outcome.HOLDS),
        (theory.NotApplicable("x", ["Too few."]), {"f": 1.0}, Outcome.NOT_APPLICABLE),
        (ValueError("what?"), {"f": 1.0}, Outcome.VIOLATED),
        (ZeroDivisionError("0"), {"f": 1.0}, Outcome.VIOLATED),
    ],
)
def test_the_outcome_of_a_check(predicted, values, outcome):
    tolerances = {"f": 2e-9}
    assert judge(claim(predicted), (), Measurement(values, tolerances)).outcome is outcome


def test_an_undefined_tolerance_decides_nothing():
    found = Measurement({"f": 1.0 + 1e-9}, {"f": math.nan})
    assert judge(claim({"f": 1.0}), (), found).outcome is Outcome.INCONCLUSIVE


def test_an_infinite_tolerance_allows_nothing():
    found = Measurement({"f": -math.inf}, {"f": math.inf})
    assert judge(claim({"f": 1.0}), (), found).outcome is Outcome.INCONCLUSIVE


def test_an_experiment_that_failed_is_inconclusive_whatever_theory_says():
    check = judge(claim({"f": 1.0}), (), Measurement({"f": 5.0}, failure="it rained"))
    assert (check.outcome, check.reason) == (Outcome.INCONCLUSIVE, "it rained")


def test_a_claim_is_as_good_as_its_worst_setting(monkeypatch):
    predicted = {1: 1.0, 2: 2.0, 3: math.nan}

    def verified(settings):
        mixed = Claim(
            *["x"] * 5,
            settings=lambda full: settings,
            measure=lambda s: Measurement({"f": float(min(s, 3))}),
            predict=lambda s: {"f": predicted.get(s, 0.0)},
        )
        return runner.run_claim("t", mixed, False)

    assert verified((1, 2)).outcome is Outcome.HOLDS
    assert verified((1, 3)).outcome is Outcome.INCONCLUSIVE
    broken = verified((1, 3, 4))
    assert broken.outcome is Outcome.VIOLATED
    assert broken.worst is not None
    assert broken.worst.setting == "4"
    text = render((broken, verified((1, 2))), 1.0)
    assert "VIOLATED" in text
    assert "at 4" in text
    assert "predicted 0, measured 3" in text
    assert "2 claims (0 on where a statement stops) at 5 settings: 1 holds, 1 VIOLATED." in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("topic", ["regression", "multilabel", "reductions", "normalisations", "pitfalls"])
def test_claims_hold(topic):
    """Of some quick topics, at the first setting; CI runs `ufm verify`, which is every claim at every setting."""

    def first(claim: Claim) -> Claim:
        return dataclasses.replace(claim, settings=lambda full: [next(iter(claim.settings(False)))])

    found = [runner.run_claim(topic, first(claim), False) for claim in runner.claims_of(topic)]
    bad = [v for v in found if v.outcome is not Outcome.HOLDS]
    jax.clear_caches()  # as the command does between topics
    assert not bad, render(tuple(bad), 0.0)


def test_claims_are_complete_and_their_ids_unique():
    claims = [c for _, c in runner.all_claims()]
    ids = [c.id for c in claims]
    assert len(set(ids)) == len(ids)
    for c in claims:
        assert all((c.id, c.statement, c.source, c.assumptions, c.tolerance))
        assert c.statement.endswith(".")
        default, full = list(c.settings(False)), list(c.settings(True))
        assert default
        assert len(full) >= len(default)
    assert len(set(TOPICS)) == len(TOPICS)


def test_a_wrong_closed_form_is_violated(monkeypatch):
    """A relative 1e-6 in a threshold is seen; the measurement stays what it was."""
    found = runner.verify(frozenset({"T18-threshold"}))
    assert found[0].outcome is Outcome.HOLDS
    right = theory.cross_entropy.collapse_threshold
    monkeypatch.setattr(theory.cross_entropy, "collapse_threshold", lambda **kw: right(**kw) * (1 + 1e-6))
    assert runner.verify(frozenset({"T18-threshold"}))[0].outcome is Outcome.VIOLATED


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = ufm.cli.main(["verify", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command(capsys, monkeypatch):
    status, out, err = run(capsys, "--only", "T18-threshold")
    assert (status, err) == (0, "")
    assert "T18-threshold" in out
    assert "1 claims (1 on where a statement stops) at 3 settings: 1 holds." in out
    status, out, _ = run(capsys, "--only", "T18-threshold", "--json")
    record = json.loads(out)
    assert (status, record["schema"]) == (0, "ufm-verify/1")
    only = record["claims"][0]
    assert only["outcome"] == "HOLDS"
    assert len(only["checks"]) == 3
    assert set(only["checks"][0]["rows"][0]) == {"quantity", "predicted", "measured", "difference", "tolerance"}
    monkeypatch.setattr(theory.mse, "collapse_threshold", lambda: 1.001)
    status, out, _ = run(capsys, "--only", "T18-threshold", "--jobs", "1")
    assert status == 1
    assert "VIOLATED" in out
    assert "predicted 1.001" in out


def test_spawned_processes_find_the_same():
    """Two topics in two processes: the order of one process, and its numbers up to rounding."""
    ids = frozenset({"T20", "0"})
    seen: list[str] = []
    alone, pooled = runner.verify(ids), runner.verify(ids, jobs=2, progress=seen.append)
    assert [v.id for v in pooled] == [v.id for v in alone]
    assert sorted(seen) == sorted({v.topic for v in alone})
    for one, two in zip(alone, pooled, strict=True):
        assert (one.outcome, two.outcome) == (Outcome.HOLDS, Outcome.HOLDS)
        for here, there in zip(one.checks, two.checks, strict=True):
            assert here.setting == there.setting
            for row, other in zip(here.rows, there.rows, strict=True):
                assert row.quantity == other.quantity
                assert np.max(np.abs(row.measured - other.measured)) <= row.tolerance


@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="needs /proc")
def test_killing_the_command_ends_its_workers():
    """Whatever ends the parent, no process stays behind."""
    command = subprocess.Popen(
        [sys.executable, "-m", "ufm", "verify", "--only", "T7,8", "--jobs", "2"], stdout=subprocess.DEVNULL
    )
    try:
        workers = eventually(lambda: [pid for pid in children(command.pid) if b"spawn_main" in arguments(pid)], 2)
    finally:
        command.kill()
        command.wait()
    assert len(workers) == 2
    assert eventually(lambda: [pid for pid in workers if not arguments(pid)], 2) == workers


def children(parent: int) -> list[int]:
    """Processes that `parent` started, from Linux's /proc."""
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(status.parent.name))
    return sorted(found)


def arguments(pid: int) -> bytes:
    """The command line of a process, empty once it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def eventually(look, count: int) -> list[int]:
    """What `look` finds once it is `count` long, or after half a minute."""
    for _ in range(300):
        found = look()
        if len(found) == count:
            return found
        time.sleep(0.1)
    return look()


def test_an_experiment_that_breaks_down_is_inconclusive_and_says_where():
    def broken(setting):
        raise KeyError("no such block")

    faulty = Claim(*["x"] * 5, settings=lambda full: ((),), measure=broken, predict=lambda setting: {"f": 1.0})
    verified = runner.run_claim("t", faulty, False)
    assert verified.outcome is Outcome.INCONCLUSIVE
    assert re.fullmatch(r"KeyError at test_verify.py:\d+: 'no such block'", verified.checks[0].reason)


def test_a_solve_that_does_not_converge_says_nothing():
    found = quantities(settle(ufm.Problem(2, 2, 2, 0.1, 0.1), max_steps=1))
    assert found.failure.startswith("the solve did not converge: gradient")
    assert judge(claim({"value": 0.0}), (), found).outcome is Outcome.INCONCLUSIVE


def test_the_list(capsys):
    status, out, _ = run(capsys, "--list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        c.id for _, c in runner.all_claims()
    ]
    _, one, _ = run(capsys, "--list", "--only", "T7")
    assert one.startswith("T7")
    assert "Zhu et al." in one


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--only", "T77"), "--only 'T77' is no claim. Near: T7"),
        (("--only", ""), "--only '' is no claim"),
        (("--jobs", "0"), "--jobs 0 runs nothing. Pass 1 or more."),
    ],
)
def test_bad_options(capsys, arguments, text):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert text in err
