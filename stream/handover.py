"""Thread primitives: a bounded hand-over queue between two threads, a background worker, a background result.

The only module of the package that creates threads or locks.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from enum import Enum
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class WhenFull(Enum):
    """Policy of a full queue for the next item."""

    WAIT = "wait"
    """Block the producer and lose nothing: for files."""
    DROP_OLDEST = "drop_oldest"
    """Drop and count the oldest item to stay current: for live sources."""


class Handover(Generic[T]):
    """A bounded hand-over queue between two threads: runs `upstream` in its own thread; iterate to receive its items.

    The order is kept. An error in `upstream` is raised in the consumer, after the items that preceded it.
    Leaving the `with` block stops the thread, whether the queue is full, empty or abandoned; a generator
    `upstream` is closed in its own thread.
    """

    def __init__(
        self,
        upstream: Iterable[T],
        *,
        size: int,
        when_full: WhenFull = WhenFull.WAIT,
        merge: Callable[[T, T], T] = lambda dropped, following: following,
    ) -> None:
        """`merge`: makes the item that replaces one that is dropped and the one after it."""
        if size < 1:
            raise ValueError(f"size must be at least 1, not {size}")
        self.dropped = 0
        """Items dropped in favour of newer ones so far."""
        self._upstream = upstream
        self._size = size
        self._when_full = when_full
        self._merge = merge
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._produce, name="handover", daemon=True)

    def __enter__(self) -> Handover[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()
        self._thread.join()
        if error is None and self._error is not None:  # not raised in the consumer yet
            failure, self._error = self._error, None
            raise failure

    @property
    def waiting(self) -> int:
        """Items in the queue now."""
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._closed)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        raise StopIteration

    def _produce(self) -> None:
        try:
            items = iter(self._upstream)
            with contextlib.ExitStack() as opened:
                if isinstance(items, Generator):
                    opened.callback(items.close)
                for item in items:
                    if not self._put(item):
                        break
        except BaseException as error:  # raised in the consumer, never swallowed
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """Append `item`; returns False once the consumer has left."""
        with self._changed:
            dropped = None
            if self._when_full is WhenFull.WAIT:
                self._changed.wait_for(lambda: len(self._items) < self._size or self._closed)
            elif len(self._items) == self._size:
                dropped = self._items.popleft()
                self.dropped += 1
            if not self._closed:
                self._items.append(item)
                if dropped is not None:
                    self._items[0] = self._merge(dropped, self._items[0])
                self._changed.notify_all()
            return not self._closed


class BackgroundWorker(Generic[T]):
    """Runs `work` in a background thread that consumes a bounded queue; `put` never blocks.

    `work` calls `get` for the items and returns once `closed` is set. A full queue is cleared entirely: in a coded
    stream, nothing after a gap can be decoded.
    """

    def __init__(self, work: Callable[[BackgroundWorker[T]], None], *, size: int) -> None:
        self.closed = False
        """Whether no more items will be put."""
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run, name="handover", daemon=True)

    def __enter__(self) -> BackgroundWorker[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._thread.join()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise the error that ended `work`, if any; only the first call raises it."""
        with self._changed:
            error, self._error = self._error, None
        if error is not None:
            raise error

    def put(self, item: T) -> list[T]:
        """Append an item; returns the dropped items: none, or the entire queue and the item itself if it was full."""
        with self._changed:
            lost: list[T] = []
            if len(self._items) >= self._size:
                lost = [*self._items, item]
                self._items.clear()
            else:
                self._items.append(item)
            self._changed.notify_all()
        return lost

    def get(self, timeout_s: float) -> T | None:
        """The next item; None after `timeout_s` seconds, or once the queue is empty and closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed, timeout_s)
            return self._items.popleft() if self._items else None

    def clear(self) -> list[T]:
        """Drop all queued items and return them."""
        with self._changed:
            lost = list(self._items)
            self._items.clear()
        return lost

    def _run(self) -> None:
        try:
            self._work(self)
        except BaseException as error:  # raised by `check`
            with self._changed:
                self._error = error


class BackgroundResult(Generic[T]):
    """Result of a slow call, such as a name lookup or a connection attempt, polled without blocking.

    The call runs in a daemon thread that is never joined.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self.result: T | None = None
        """None until `done`, or if the call failed."""
        self.done = False
        self._work = work
        threading.Thread(target=self._run, name="background-result", daemon=True).start()

    def _run(self) -> None:
        try:
            self.result = self._work()
        finally:
            self.done = True
