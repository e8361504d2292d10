"""Paces the packets of a file in real time by their decoding timestamps, as a camera would send them."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator

from deepclarity.stream.packets import AnyPacket

READ_AHEAD_S = 1.5
_MAX_DELAY_S = 0.2
_JUMP_S = 5.0
"""A larger step starts a new timeline, as in HLS advertisements and concatenated files."""


def paced(
    packets: Iterable[AnyPacket], *, ahead_s: float = READ_AHEAD_S, sleep: Callable[[float], None] = time.sleep
) -> Iterator[AnyPacket]:
    """Yield packets in the order of their decoding timestamps, in real time.

    Packets are read ahead by `ahead_s` seconds, because a file may store a second of video before a second of audio; 0
    suits a source with a single track. HLS arrives in segments: if one is late, all later packets are delayed by as
    much. If reading fails, the packets already read are yielded before the exception is raised.
    """
    queue: list[tuple[float, int, AnyPacket]] = []
    newest_s: float | None = None
    due_s = 0.0
    pacer, failure = _Pacer(sleep), None
    numbered = enumerate(packets)
    while failure is None:
        try:
            number, packet = next(numbered)
        except StopIteration:
            break
        except Exception as error:  # raised after the packets already read
            failure = error
            break
        timestamp = packet.dts if packet.dts is not None else packet.pts
        due_s = due_s if timestamp is None else float(timestamp * packet.time_base)
        if newest_s is not None and abs(due_s - newest_s) > _JUMP_S:
            yield from _due_packets(queue, 0.0, pacer)
            pacer.restart()
            newest_s = None
        newest_s = due_s if newest_s is None else max(newest_s, due_s)
        heapq.heappush(queue, (due_s, number, packet))
        yield from _due_packets(queue, newest_s - ahead_s, pacer, flush=False)
    yield from _due_packets(queue, 0.0, pacer)
    if failure is not None:
        raise failure


def _due_packets(
    queue: list[tuple[float, int, AnyPacket]], until_s: float, pacer: _Pacer, *, flush: bool = True
) -> Iterator[AnyPacket]:
    """Yield the queued packets due by `until_s`, or all if `flush`."""
    while queue and (flush or queue[0][0] <= until_s):
        due_s, _, packet = heapq.heappop(queue)
        pacer.wait_for(due_s)
        yield packet


class _Pacer:
    """Sleeps until packets are due."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._epoch_s: float | None = None

    def restart(self) -> None:
        """Restart the clock: the next packet is due immediately."""
        self._epoch_s = None

    def wait_for(self, due_s: float) -> None:
        """Sleep until `due_s` on the packets' clock; if that is long past, all later packets are delayed too."""
        now = time.monotonic()
        if self._epoch_s is None or self._epoch_s + due_s < now - _MAX_DELAY_S:
            self._epoch_s = now - due_s
        self._sleep(min(_JUMP_S, max(0.0, self._epoch_s + due_s - now)))
