"""Recovery from a lost device: frames in flight are submitted again, and after five losses in a minute it gives up."""

from __future__ import annotations

import pytest

from deepclarity.errors import DeviceError
from deepclarity.pipelines.executor import Executor, Finished, Pending, RepairRequest
from deepclarity.pipelines.gpu.executor import DeviceLostError
from deepclarity.pipelines.gpu.recovery import RecoveringExecutor
from deepclarity.stream.frame import Planes

from .pictures import request


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Losing:
    """An executor that returns its input, and is lost after `frames` results."""

    name, backend, in_flight = "turbo", "fake", 4

    def __init__(self, frames: int, log: list[str]) -> None:
        self._left = frames
        self._log = log

    def submit(self, wanted: RepairRequest) -> Pending:
        return Late(self, wanted)

    def flush(self) -> None:
        """Nothing is queued."""

    def close(self) -> None:
        self._log.append("closed")

    def take(self, wanted: RepairRequest) -> Planes:
        if self._left == 0:
            raise DeviceLostError("cuda:0 failed (unspecified launch failure)")
        self._left -= 1
        return wanted.planes


class Late:
    """A pending result that fails once its executor is lost."""

    def __init__(self, owner: Losing, wanted: RepairRequest) -> None:
        self._owner, self._wanted = owner, wanted

    def result(self) -> Planes:
        return self._owner.take(self._wanted)


class OnCpu(Losing):
    """The fallback."""

    backend = "cpu"

    def submit(self, wanted: RepairRequest) -> Pending:
        return Finished(wanted.planes)


def run(executor: RecoveringExecutor, requests: list[RepairRequest], clock: Clock | None = None) -> list[Planes]:
    """All results, four in flight."""
    waiting: list[Pending] = []
    results: list[Planes] = []
    for wanted in requests:
        waiting.append(executor.submit(wanted))
        if len(waiting) > 4:
            results.append(waiting.pop(0).result())
        if clock is not None:
            clock.now += 10
    return results + [pending.result() for pending in waiting]


def test_lost_device_is_replaced_and_no_frame_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []
    lives = iter([3, 5, 100])
    executor = RecoveringExecutor(lambda: Losing(next(lives), log), clock=Clock())
    requests = [request(4, seed=i, size=(32, 16)) for i in range(20)]
    results = run(executor, requests)
    assert [id(planes) for planes in results] == [id(wanted.planes) for wanted in requests]
    assert log == ["closed"] * 2
    assert "starting again with 5 frames in flight" in caplog.text


def test_five_losses_within_a_minute_use_the_fallback(caplog: pytest.LogCaptureFixture) -> None:
    executor = RecoveringExecutor(lambda: Losing(1, []), fallback=lambda: OnCpu(0, []), clock=Clock())
    requests = [request(4, seed=i, size=(32, 16)) for i in range(20)]
    results = run(executor, requests)
    assert [id(planes) for planes in results] == [id(wanted.planes) for wanted in requests]
    assert executor.backend == "cpu"
    assert "using the CPU from now on" in caplog.text


def test_five_losses_within_a_minute_raise_device_error_without_a_fallback() -> None:
    executor = RecoveringExecutor(lambda: Losing(1, []), clock=Clock())
    with pytest.raises(DeviceError, match="lost 5 times within a minute"):
        run(executor, [request(4, size=(32, 16))] * 20)


def test_losses_far_apart_are_survived_for_ever() -> None:
    clock = Clock()
    executor = RecoveringExecutor(lambda: Losing(3, []), clock=clock)
    requests = [request(4, seed=i, size=(32, 16)) for i in range(60)]
    assert len(run(executor, requests, clock)) == 60


def test_device_that_cannot_be_started_again_counts_as_lost() -> None:
    first = iter([Losing(2, [])])

    def start() -> Executor:
        executor = next(first, None)
        if executor is None:
            raise DeviceError("torch cannot use 'cuda' (no kernel image); use --device cpu")
        return executor

    executor = RecoveringExecutor(start, fallback=lambda: OnCpu(0, []), clock=Clock())
    assert len(run(executor, [request(4, size=(32, 16))] * 9)) == 9
    assert executor.backend == "cpu"
