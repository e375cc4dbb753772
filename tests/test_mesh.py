"""Features divided over devices and processes: the same solution, no gathered H; each case in processes of its own."""

import json
import os
import socket
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

import ufm

PROBLEM = "ufm.Problem(4, (200, 100, 60, 40), 8, 5e-3, 1e-2, 0.0)"  # large enough for products in float32
EIGHT = f"""
import json, jax, numpy as np, ufm
from ufm import driver
from ufm.placement import placement
from ufm.precision import exact
problem = {PROBLEM}
mesh = jax.make_mesh((8,), ("columns",))
logits = lambda solution: solution.params.W @ solution.params.H
found = ufm.solve(problem, 1, mesh=mesh)
rough = ufm.solve(problem, 1, mesh=mesh, solver=ufm.TrustRegion())
zero = ufm.solve(problem, start=jax.tree.map(np.zeros_like, found.params), mesh=mesh)
try:
    uneven = ufm.solve(ufm.Problem(3, 3, 4, 1e-2, 1e-2), mesh=mesh).message
except ValueError as error:
    uneven = str(error)
with exact():
    solver = driver.typed_solver(ufm.TrustRegion(), np.dtype(float))
    state = driver._init(solver, problem.astype(float), placement(mesh, problem).put(found.params, np.dtype(float)))
    text = driver.advance.lower(solver, problem.astype(float), state, np.asarray(1e-12), 9).compile().as_text()
print(json.dumps({{
    "W": found.params.W.tolist(), "H": found.params.H[:, ::10].tolist(), "value": found.value, "steps": found.steps,
    "shard": state.iterate.grad.H.addressable_shards[0].data.shape, "escapes": zero.escapes, "zero": zero.value,
    "gathers": sum(text.count(name) for name in ("all-gather", "all-to-all")), "reduces": text.count("all-reduce("),
    "single": "f32[4,8]" in text, "Z": float(np.abs(logits(rough) - logits(found)).max()),
    "refused": found.reduction.refused, "uneven": uneven,
}}))
"""
TWO = f"""
import sys, json, jax, ufm
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=int(sys.argv[1]))
found = ufm.solve({PROBLEM}, 1, mesh=jax.make_mesh((2,), ("columns",)))
print(json.dumps({{"W": found.params.W.tolist(), "H": found.params.H[:, ::10].tolist(), "value": found.value}}))
"""


def start(code: str, *arguments: str, devices: int) -> Any:
    environment = {
        **os.environ,
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "NPROC": "8",
        "JAX_PLATFORMS": "cpu",
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, text=True, stdout=-1, stderr=subprocess.PIPE
    )


def answer(process: Any) -> dict[str, Any]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return json.loads(out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def alone() -> ufm.Solution:
    """One device, in d dimensions as over many."""
    problem = eval(PROBLEM)
    solution = ufm.solve(problem, 1, mesh=jax.make_mesh((1,), ("columns",)))
    assert solution.value == pytest.approx(ufm.solve(problem, 1, reduce=False).value, abs=1e-14)
    return solution


def assert_same(found: dict[str, Any], alone: ufm.Solution) -> None:
    assert found["value"] == pytest.approx(alone.value, abs=1e-14)
    np.testing.assert_allclose(np.array(found["W"]), alone.params.W, atol=1e-10)
    np.testing.assert_allclose(np.array(found["H"]), alone.params.H[:, ::10], atol=1e-10)


def test_eight_devices(alone: ufm.Solution) -> None:
    found = answer(start(EIGHT, devices=8))
    assert_same(found, alone)
    assert found["steps"] == alone.steps
    assert found["shard"] == [8, 50]  # an eighth of H, and of everything of its shape
    assert (found["gathers"], found["reduces"] > 0, found["single"]) == (0, True, True)
    assert found["Z"] <= 1e-9  # products in float32 turn W and H, and leave the logits
    assert found["escapes"] >= 1  # the saddle at 0 is found among the class means
    assert found["zero"] == pytest.approx(alone.value, abs=1e-13)
    assert "mesh" in found["refused"]
    assert "N=9 columns do not divide over 8 devices" in found["uneven"]


def test_two_processes(alone: ufm.Solution) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [start(TWO, str(i), address, devices=1) for i in range(2)]
    answers = [answer(process) for process in processes]
    assert answers[0] == answers[1]
    assert_same(answers[0], alone)


def test_what_does_not_divide_is_refused() -> None:
    mesh = jax.make_mesh((1,), ("columns",))
    problem = ufm.Problem(3, 2, 4, 1e-2, 1e-2)
    assert ufm.solve(problem, mesh=mesh).value == pytest.approx(ufm.solve(problem).value, abs=1e-13)
    with pytest.raises(TypeError, match="solve: mesh='gpu' is not a jax Mesh"):
        ufm.solve(problem, mesh="gpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="divides the free features of a convex loss"):
        ufm.solve(ufm.Problem(3, 2, 4, 1e-2, 1e-2, loss=ufm.Focal()), mesh=mesh)
