"""Reads the frames of live sources, in tests."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import dropwhile, pairwise

from deepclarity.stream.frame import Frame, Placeholder
from deepclarity.stream.live.source import LiveSource
from deepclarity.stream.live.state import Timeouts

SHORT_TIMEOUTS = Timeouts(open_s=2.0, stall_s=1.5)
PATIENT = Timeouts(open_s=15.0, stall_s=4.0)
"""For tests of what is received, on a machine that is busy."""


@contextmanager
def open_frames(source: LiveSource) -> Iterator[Iterator[Frame]]:
    """The frames of `source`; its reader process is terminated at the end of the block."""
    with source, closing(iter(source)) as frames:  # type: ignore[type-var]
        yield frames


def read_until(frames: Iterator[Frame], condition: Callable[[Frame], bool], *, timeout_s: float = 20.0) -> list[Frame]:
    """Read frames up to and including the first for which `condition` is true."""
    deadline, received = time.monotonic() + timeout_s, []
    for frame in frames:
        received.append(frame)
        if condition(frame):
            return received
        assert time.monotonic() < deadline, f"not within {timeout_s} s; {len(received)} frames"
    raise AssertionError("the source ended")


def real_frames(count: int) -> Callable[[Frame], bool]:
    """Condition for `read_until`: `count` real frames have arrived."""
    remaining = count

    def condition(frame: Frame) -> bool:
        nonlocal remaining
        remaining -= frame.placeholder is None
        return remaining <= 0

    return condition


def is_slate(frame: Frame) -> bool:
    return frame.placeholder is Placeholder.SLATE


def timestamps_increase(frames: list[Frame]) -> bool:
    """Whether timestamps increase strictly from the first real frame on."""
    from_first = dropwhile(lambda frame: frame.placeholder is not None, frames)
    return all(earlier.pts < later.pts for earlier, later in pairwise(from_first))


def real(frames: list[Frame]) -> list[Frame]:
    """Those that are pictures of the source."""
    return [frame for frame in frames if frame.placeholder is None]


def luma_md5(frame: Frame) -> str:
    """Hash of a frame's luma."""
    return hashlib.md5(frame.planes[0].tobytes()).hexdigest()
