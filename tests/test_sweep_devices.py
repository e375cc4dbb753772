"""Chunks of a sweep on the local devices of a process: both are used, and no bit depends on which."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import jax
import pytest

import ufm

TWO = """
import json, jax, numpy as np, ufm

def device(problem, solution, certificate):
    return {"device": next(iter(jax.numpy.zeros(()).devices())).id}

def swept(devices):
    with ufm.DevicePool(devices) as pool:
        return ufm.sweep(grid, columns=device, chunk=1, executor=pool)

grid = ufm.grid(ufm.Problem(K=2, n=2, d=2, lam_W=2e-2, lam_H=1e-2), key=range(8))
both, one = swept(None), swept(jax.local_devices()[1:])
differ = [name for name in one.columns if not np.array_equal(one[name], both[name])]
print(json.dumps([differ, *(sorted(set(found["device"].tolist())) for found in (one, both))]))
"""


def test_both_devices_work_and_no_bit_differs() -> None:
    flags = f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    run = subprocess.run([sys.executable, "-c", TWO], env=environment, text=True, capture_output=True, check=True)
    assert json.loads(run.stdout) == [["seconds", "device"], [1], [0, 1]]


def test_an_error_gives_the_device_back() -> None:
    with ufm.DevicePool(jax.local_devices()[:1]) as pool:
        assert pool.submit(int, "x").exception() is not None
        assert pool.submit(int, "7").result() == 7


@pytest.mark.parametrize(
    ("devices", "error", "text"),
    [
        ([0], TypeError, "DevicePool: devices=[0] are no devices. Pass some of jax.local_devices(), or None."),
        ("gpu", TypeError, "DevicePool: devices='gpu' are no devices."),
        ([], ValueError, "DevicePool: devices is empty."),
    ],
)
def test_what_is_no_device_is_refused(devices: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        ufm.DevicePool(devices)


def test_the_device_of_another_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    with pytest.raises(ValueError, match="belongs to another process"):
        ufm.DevicePool(jax.local_devices())
