"""Paces packets by their decoding timestamps, as a camera would send them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator

from deepclarity.stream.packets import AnyPacket

READ_AHEAD_S = 1.5
_LATE_S = 0.2
_JUMP_S = 5.0
"""Timestamps further apart belong to different timelines: an advertisement, a concatenated file."""


def paced(
    packets: Iterable[AnyPacket], *, ahead_s: float = READ_AHEAD_S, sleep: Callable[[float], None] = time.sleep
) -> Iterator[AnyPacket]:
    """Yield packets in the order and at the speed of their decoding timestamps.

    A file may store a second of video before a second of audio: as much is read ahead. HLS arrives in segments; if one
    is late, all later ones are delayed by as much. If reading fails, the packets already read are yielded first.
    `ahead_s`: seconds to read ahead; 0 for a source with a single track.
    """
    ahead: list[tuple[float, int, AnyPacket]] = []
    newest_s: float | None = None
    due_s = 0.0
    pace, failure = _Pace(sleep), None
    numbered = enumerate(packets)
    while failure is None:
        try:
            number, packet = next(numbered)
        except StopIteration:
            break
        except Exception as error:  # continues after the previous packets
            failure = error
            break
        moment = packet.dts if packet.dts is not None else packet.pts
        due_s = due_s if moment is None else float(moment * packet.time_base)
        if newest_s is not None and abs(due_s - newest_s) > _JUMP_S:
            yield from _in_order(ahead, 0.0, pace)
            pace.restart()
            newest_s = None
        newest_s = due_s if newest_s is None else max(newest_s, due_s)
        heapq.heappush(ahead, (due_s, number, packet))
        yield from _in_order(ahead, newest_s - ahead_s, pace, all_of_them=False)
    yield from _in_order(ahead, 0.0, pace)
    if failure is not None:
        raise failure


def _in_order(
    ahead: list[tuple[float, int, AnyPacket]], before_s: float, pace: _Pace, *, all_of_them: bool = True
) -> Iterator[AnyPacket]:
    """Packets due by `before_s`, or all of them."""
    while ahead and (all_of_them or ahead[0][0] <= before_s):
        due_s, _, packet = heapq.heappop(ahead)
        pace.wait_for(due_s)
        yield packet


class _Pace:
    """Sleeps as the packets' timestamps require."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._zero_s: float | None = None

    def restart(self) -> None:
        """Restart the clock: the next packet is due now."""
        self._zero_s = None

    def wait_for(self, due_s: float) -> None:
        """Sleep until `due_s` on the packets' clock; if that is long past, delay all later packets as well."""
        now = time.monotonic()
        if self._zero_s is None or self._zero_s + due_s < now - _LATE_S:
            self._zero_s = now - due_s
        self._sleep(min(_JUMP_S, max(0.0, self._zero_s + due_s - now)))
