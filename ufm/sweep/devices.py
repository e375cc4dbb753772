"""The local devices of this process as an executor: one call on each at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import jax


class DevicePool(Executor):
    """A thread for each device; what it runs has that device as its default. Use it in a `with` statement.

    Devices of one kind run one program, each compiled for itself: which of them a call meets changes no bit of its
    answer. For the cores of a CPU there is `SpawnPool`.

    Args:
        devices: None is all local devices, `jax.local_devices()`.
    Raises:
        TypeError: what is given is no sequence of devices.
        ValueError: there is none, or one that belongs to another process.
    """

    def __init__(self, devices: Sequence[Any] | None = None) -> None:
        chosen = jax.local_devices() if devices is None else devices
        _check_devices(chosen)
        self._workers = len(chosen)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for device in chosen:
            self._free.put(device)
        self._pool = ThreadPoolExecutor(self._workers, "device")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As `Executor.submit`."""
        return self._pool.submit(self._run, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As `Executor.shutdown`."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _run(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        device = self._free.get()  # there are as many threads as devices: it never waits
        try:
            with jax.default_device(device):
                return fn(*args, **kwargs)
        finally:
            self._free.put(device)


def _check_devices(devices: Any) -> None:
    if not isinstance(devices, Sequence) or not all(isinstance(device, jax.Device) for device in devices):
        raise TypeError(f"DevicePool: devices={devices!r} are no devices. Pass some of jax.local_devices(), or None.")
    if not devices:
        raise ValueError("DevicePool: devices is empty. Pass some of jax.local_devices(), or None for all.")
    for device in devices:
        if device.process_index != jax.process_index():
            raise ValueError(f"DevicePool: {device} belongs to another process. Pass some of jax.local_devices().")
