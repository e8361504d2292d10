"""RTSP server for tests, on the loopback: relays published streams, with faults on demand."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from tests.rtsp.server.auth import Authenticator, Scheme
from tests.rtsp.server.connection import Connection, LoggedRequest, RtspState
from tests.rtsp.server.mount import Arrival
from tests.rtsp.server.transports import NetworkConditions
from tests.rtsp.wait import wait_until

__all__ = ["RtspServer", "Scheme"]

_T = TypeVar("_T")
_HOST = "127.0.0.1"
_RESPONSE_TIMEOUT_S = 5.0
_SEGMENT_BYTES = 1460
"""As on Ethernet: with the loopback's 64 kB, a sender's buffer would hold megabytes before it blocks."""
_RECEIVE_BYTES = 1 << 16


class RtspServer:
    """Takes ANNOUNCE/RECORD over TCP and serves DESCRIBE/PLAY over TCP and UDP, on one port.

    All methods may be called from the test's thread. Paths are named like `cam`, without slashes. `users`: passwords
    by user name, unencoded. With `keep_readers`, readers stay connected when their publisher leaves.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        users: Mapping[str, str] | None = None,
        scheme: Scheme = Scheme.BASIC,
        keep_readers: bool = False,
        seed: int = 7,
    ) -> None:
        self.port = port
        self.users = dict(users or {})
        self.network = NetworkConditions()
        self.network.rng.seed(seed)
        self._state = RtspState(Authenticator(self.users, scheme), self.network, keep_readers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: asyncio.Server | None = None

    # Lifecycle --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start listening, on the previous port if there was one; counters are kept."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), name="rtsp server", daemon=True)
        self._thread.start()
        ready.result(_RESPONSE_TIMEOUT_S)

    def stop(self) -> None:
        """Stop like a killed server: close the port and every connection."""
        if self._thread is not None:
            self._call(self._stop_requested.set)
            self._thread.join(_RESPONSE_TIMEOUT_S)
            assert not self._thread.is_alive()
            self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, path: str, *, user: str | None = None) -> str:
        """The URL of a path; with `user`, including credentials, percent-encoded."""
        credentials = f"{quote(user, safe='')}:{quote(self.users[user], safe='')}@" if user else ""
        return f"rtsp://{credentials}{_HOST}:{self.port}/{path}"

    # Observations -----------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[LoggedRequest]:
        """Every request so far: (method, path, who)."""
        return list(self._state.requests)

    def sessions(self, path: str) -> int:
        """Total number of sessions announced there."""
        return len(self._state.mount(path).arrivals)

    def teardowns(self, path: str) -> int:
        """Number of publishers that have sent TEARDOWN."""
        return self._state.mount(path).teardowns

    def received_bytes(self, path: str) -> int:
        """Bytes of RTP received from publishers."""
        return self._state.mount(path).received_bytes

    def arrivals(self, path: str, session: int = -1) -> list[Arrival]:
        """The pictures sent by a publisher: RTP timestamps and arrival times."""
        sessions = self._state.mount(path).arrivals
        return list(sessions[session]) if sessions else []

    def is_publishing(self, path: str) -> bool:
        """Whether there is a publisher now."""
        return self._state.mount(path).recording

    def readers(self, path: str) -> int:
        """Number of readers now."""
        return len(self._state.mount(path).readers)

    def wait_for(self, condition: Callable[[], object], *, timeout_s: float = 10.0) -> None:
        """Wait for `condition()`, a condition on this server; AssertionError after the timeout."""
        wait_until(condition, timeout_s=timeout_s, what=lambda: f"the server has seen {self.requests[-12:]}")

    # Faults -----------------------------------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Accept connections but never respond."""
        return self._state.silent

    @silent.setter
    def silent(self, on: bool) -> None:
        self._state.silent = on

    @property
    def not_found(self) -> bool:
        """Answer 404 to readers."""
        return self._state.not_found

    @not_found.setter
    def not_found(self, on: bool) -> None:
        self._state.not_found = on

    @property
    def reject_publish(self) -> bool:
        """Answer 403 to publishers."""
        return self._state.reject_publish

    @reject_publish.setter
    def reject_publish(self, on: bool) -> None:
        self._state.reject_publish = on

    @property
    def loss(self) -> float:
        """Share of RTP datagrams lost; `network` has further faults."""
        return self.network.loss

    @loss.setter
    def loss(self, share: float) -> None:
        self.network.loss = share

    def stall(self, path: str | None = None) -> None:
        """Drop the RTP of a path, or of all paths; connections stay open."""
        self._set_stalled(path, stalled=True)

    def resume(self, path: str | None = None) -> None:
        """End a stall."""
        self._set_stalled(path, stalled=False)

    def drop_video(self, path: str) -> None:
        """Drop the video of a path from now on; audio passes."""
        self._state.mount(path).drop_video = True

    def reset(self, path: str) -> None:
        """Reset the connections (TCP RST) of a path's publisher and readers."""
        self._reset(lambda each: each.mount is self._state.mount(path))

    def reset_publisher(self, path: str) -> None:
        """Reset the connection of a path's publisher."""
        self._reset(lambda each: each is self._state.mount(path).publisher)

    def reset_readers(self, path: str) -> None:
        """Reset the connections of a path's readers; the publisher stays."""
        self._reset(lambda each: each in self._state.mount(path).readers)

    def reset_all(self) -> None:
        """Reset every connection."""
        self._reset(lambda each: True)

    def refuse_connections(self) -> None:
        """Refuse new connections; existing ones stay open."""
        self._call(self._close_listener)

    def accept(self) -> None:
        """Listen again, on the same port."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._running).result(_RESPONSE_TIMEOUT_S)

    def stop_reading(self, path: str) -> None:
        """Stop reading from a path's publisher, so that it blocks while sending."""
        self._call(self._publisher(path).stop_reading)

    def resume_reading(self, path: str) -> None:
        """Resume reading from it."""
        self._call(self._publisher(path).resume_reading)

    def shift_timestamps(self, path: str, seconds: float, *, pictures: int | None = 1) -> None:
        """Shift the RTP timestamps of the next `pictures` (None: of all that follow) for readers."""
        self._call(lambda: self._state.mount(path).timestamps.shift(seconds, pictures=pictures))

    def wrap_timestamps_after(self, path: str, seconds: float) -> None:
        """Let the 32-bit RTP timestamps wrap around `seconds` after the next picture, for readers.

        Current readers see a jump at the next picture; later ones see only the wraparound.
        """
        self._call(lambda: self._state.mount(path).timestamps.wrap_timestamps_after(seconds))

    # On the server's thread -------------------------------------------------------------------------------------------

    async def _run(self, ready: Future[None]) -> None:
        self._loop, self._stop_requested = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._listen()
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        await self._stop_requested.wait()
        self._close_listener()
        for connection in list(self._state.connections):
            connection.abort()
        while self._state.connections:
            await asyncio.sleep(0)

    async def _listen(self) -> None:
        acceptor = socket.create_server((_HOST, self.port))
        acceptor.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SEGMENT_BYTES)
        acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        self.port = acceptor.getsockname()[1]
        self._listener = await self._running.create_server(lambda: Connection(self._state), sock=acceptor)

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @property
    def _running(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "the server has not been started"
        return self._loop

    def _call(self, action: Callable[[], _T]) -> _T:
        async def act() -> _T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._running).result(_RESPONSE_TIMEOUT_S)

    def _reset(self, selects: Callable[[Connection], bool]) -> None:
        def act() -> None:
            for connection in [each for each in self._state.connections if selects(each)]:
                connection.reset()

        self._call(act)

    def _set_stalled(self, path: str | None, *, stalled: bool) -> None:
        mounts = list(self._state.mounts.values()) if path is None else [self._state.mount(path)]
        for mount in mounts:
            mount.stalled = stalled

    def _publisher(self, path: str) -> Connection:
        publisher = self._state.mount(path).publisher
        assert isinstance(publisher, Connection), f"nobody publishes to {path}"
        return publisher
