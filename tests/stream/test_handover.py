"""Hand-over queue: order, bounds, errors, and no leaked threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from deepclarity.stream.handover import Handover, WhenFull


def failing(after: int) -> Iterator[int]:
    yield from range(after)
    raise OSError("decoder died")


def counting(made: list[int], enough: threading.Event) -> Iterator[int]:
    for number in range(1000):
        made.append(number)
        if number >= 5:
            enough.set()
        yield number


def test_items_arrive_in_order_and_iteration_ends() -> None:
    with Handover(range(500), size=4) as items:
        assert list(items) == list(range(500))


def test_upstream_error_is_raised_after_the_preceding_items() -> None:
    seen: list[int] = []
    with pytest.raises(OSError, match="decoder died"), Handover(failing(10), size=4) as items:
        for item in items:
            seen.append(item)  # noqa: PERF402  what came before the error must have arrived
    assert seen == list(range(10))


def test_consumer_failure_with_a_full_queue_stops_the_thread() -> None:
    made: list[int] = []
    enough = threading.Event()
    with pytest.raises(ValueError, match="model failed"), Handover(counting(made, enough), size=4) as items:
        next(items)
        assert enough.wait(5)
        raise ValueError("model failed")
    assert len(made) < 1000


def test_full_queue_blocks_the_producer() -> None:
    made: list[int] = []
    enough = threading.Event()
    with Handover(counting(made, enough), size=4) as items:
        next(items)
        assert enough.wait(5)
        assert len(made) <= 1 + 4 + 1


def test_drop_oldest_keeps_the_newest_items_and_counts_drops() -> None:
    finished = threading.Event()

    def source() -> Iterator[int]:
        yield from range(100)
        finished.set()

    with Handover(source(), size=4, when_full=WhenFull.DROP_OLDEST) as items:
        assert finished.wait(5)
        assert list(items) == [96, 97, 98, 99]
        assert items.dropped == 96


@pytest.mark.parametrize("size", [1, 3])
def test_what_a_dropped_item_must_not_lose_is_merged_into_the_next(size: int) -> None:
    finished = threading.Event()

    def source() -> Iterator[str]:
        yield from "abcdefg"
        finished.set()

    drops = WhenFull.DROP_OLDEST
    with Handover(source(), size=size, when_full=drops, merge=lambda dropped, following: dropped + following) as items:
        assert finished.wait(5)
        assert list(items) == (["abcdefg"] if size == 1 else ["abcde", "f", "g"])


def test_chained_handovers_propagate_an_error_and_stop() -> None:
    with (
        pytest.raises(OSError, match="decoder died"),
        Handover(failing(50), size=2) as first,
        Handover((x * 2 for x in first), size=2) as second,
    ):
        assert list(second) is None


def test_abandoned_generator_is_closed_in_its_own_thread() -> None:
    closed_in: list[str] = []

    def source() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed_in.append(threading.current_thread().name)

    with Handover(source(), size=2) as items:
        next(items)
    assert closed_in == ["handover"]


def test_size_zero_raises_value_error() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Handover([], size=0)


class Unstartable:
    def __iter__(self) -> Iterator[int]:
        raise OSError("no such camera")


def test_upstream_that_fails_to_start_raises_in_the_consumer() -> None:
    with pytest.raises(OSError, match="no such camera"), Handover(Unstartable(), size=2) as items:
        next(items)


def test_unconsumed_error_is_raised_on_exit() -> None:
    with pytest.raises(OSError, match="decoder died"), Handover(failing(3), size=8) as items:
        while items._error is None:
            threading.Event().wait(0.001)
