"""Paces packets at the speed of their decoding times, as a camera would send them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator

from deepclarity.stream.packets import AnyPacket

READ_AHEAD_S = 1.5
_LATE_S = 0.2
_JUMP_S = 5.0
"""Times further apart belong to another count: an advertisement, a file that was joined from parts."""


def paced(
    packets: Iterable[AnyPacket], *, ahead_s: float = READ_AHEAD_S, sleep: Callable[[float], None] = time.sleep
) -> Iterator[AnyPacket]:
    """Hand packets out in the order and at the speed of their decoding times.

    A file keeps a second of pictures and then a second of sound: as much is read ahead. An HLS stream comes in
    segments; where one is late, all that follow are shown as much later. When reading fails, what was read goes first.
    `ahead_s`: how far is read ahead; 0 for a source that has one track.
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
        except Exception as error:  # goes on behind the packets that came before it
            failure = error
            break
        moment = packet.dts if packet.dts is not None else packet.pts
        due_s = due_s if moment is None else float(moment * packet.time_base)
        if newest_s is not None and abs(due_s - newest_s) > _JUMP_S:
            yield from _in_order(ahead, 0.0, pace)
            pace.begin_again()
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
    """Those due by `before_s`, or all of them."""
    while ahead and (all_of_them or ahead[0][0] <= before_s):
        due_s, _, packet = heapq.heappop(ahead)
        pace.wait_for(due_s)
        yield packet


class _Pace:
    """Lets as much time pass as the packets' own times say."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._zero_s: float | None = None

    def begin_again(self) -> None:
        """The next packet is due now: the times count anew."""
        self._zero_s = None

    def wait_for(self, due_s: float) -> None:
        """Sleep until `due_s` on the packets' clock; be late for all that follow if that is long past."""
        now = time.monotonic()
        if self._zero_s is None or self._zero_s + due_s < now - _LATE_S:
            self._zero_s = now - due_s
        self._sleep(min(_JUMP_S, max(0.0, self._zero_s + due_s - now)))
