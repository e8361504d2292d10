"""Recovery from a lost GPU: starts a new executor and submits again whatever was in flight."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from deepclarity.errors import DeviceError
from deepclarity.pipelines.executor import Executor, Pending, RepairRequest
from deepclarity.stream.frame import Planes

from .executor import DeviceLostError

_log = logging.getLogger(__name__)

_MAX_LOSSES = 5
_WITHIN_S = 60.0


class RecoveringExecutor:
    """Runs an executor that may be lost; no frame is lost with it. To be used from one thread.

    After five losses within a minute it continues on the fallback, or raises DeviceError where there is none.
    """

    def __init__(
        self,
        start: Callable[[], Executor],
        *,
        fallback: Callable[[], Executor] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start = start
        self._fallback = fallback
        self._clock = clock
        self._losses: deque[float] = deque(maxlen=_MAX_LOSSES)
        self._outstanding: deque[_Tracked] = deque()
        self._executor = start()
        self.in_flight = self._executor.in_flight
        """Frames to submit before the first result is taken."""

    @property
    def name(self) -> str:
        """The tier."""
        return self._executor.name

    @property
    def backend(self) -> str:
        """Description of the back end for people."""
        return self._executor.backend

    def submit(self, request: RepairRequest) -> Pending:
        """Start a repair; if the device is lost meanwhile, it is started again on the next one."""
        tracked = _Tracked(self, request)
        self._outstanding.append(tracked)
        try:
            tracked.pending = self._executor.submit(request)
        except DeviceLostError as error:
            self.recover(error)
        return tracked

    def flush(self) -> None:
        """Start what is queued."""
        try:
            self._executor.flush()
        except DeviceLostError as error:
            self.recover(error)

    def close(self) -> None:
        """Close the executor; a lost device is no error any more."""
        self._outstanding.clear()
        _close(self._executor)

    def collect(self, tracked: _Tracked) -> Planes:
        """The result of a tracked repair."""
        while True:
            try:
                assert tracked.pending is not None
                planes = tracked.pending.result()
            except DeviceLostError as error:
                self.recover(error)
            except Exception:
                self._outstanding.remove(tracked)
                raise
            else:
                self._outstanding.remove(tracked)
                return planes

    def recover(self, error: DeviceError) -> None:
        """Replace the executor, and submit again all repairs whose results are outstanding, in order."""
        while True:
            _close(self._executor)
            try:
                self._executor = self._replacement(error)
                for tracked in self._outstanding:
                    tracked.pending = self._executor.submit(tracked.request)
                self._executor.flush()
            except DeviceLostError as again:
                error = again
            else:
                return

    def _replacement(self, error: DeviceError) -> Executor:
        """A new executor on the device, or the fallback once it has been lost too often."""
        while True:
            now = self._clock()
            self._losses.append(now)
            if len(self._losses) == _MAX_LOSSES and now - self._losses[0] <= _WITHIN_S:
                if self._fallback is None:
                    raise DeviceError(f"lost {_MAX_LOSSES} times within a minute: {error}")
                _log.warning("%s; lost %d times within a minute: using the CPU from now on", error, _MAX_LOSSES)
                return self._fallback()
            _log.warning("%s; starting again with %d frames in flight", error, len(self._outstanding))
            try:
                return self._start()
            except DeviceError as failure:
                error = failure


class _Tracked:
    """A repair that outlives the device it runs on."""

    def __init__(self, owner: RecoveringExecutor, request: RepairRequest) -> None:
        self.request = request
        self.pending: Pending | None = None
        self._owner = owner

    def result(self) -> Planes:
        """Wait for the repaired planes."""
        return self._owner.collect(self)


def _close(executor: Executor) -> None:
    try:
        executor.close()
    except (DeviceError, RuntimeError) as error:
        _log.debug("%s could not be closed: %s", executor.backend, error)
