"""An RTSP server for tests, on the loopback: relays what is published to it, and fails in every way on demand."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

from tests.rtsp.server.auth import Gate, Scheme
from tests.rtsp.server.connection import Asked, Connection, RtspState
from tests.rtsp.server.mount import Arrival
from tests.rtsp.server.transports import Weather
from tests.rtsp.wait import until

__all__ = ["RtspServer", "Scheme"]

_T = TypeVar("_T")
_HOST = "127.0.0.1"
_ANSWER_S = 5.0
_SEGMENT_BYTES = 1460
"""As on Ethernet: with the loopback's 64 kB, megabytes fit into a sender's buffer before it notices anything."""
_RECEIVE_BYTES = 1 << 16


class RtspServer:
    """Takes ANNOUNCE/RECORD over TCP and serves DESCRIBE/PLAY over TCP and UDP, on one port.

    Everything here may be called from the test's thread. A path is named as `cam`, without slashes. `users` are
    passwords by name, as people type them. With `keep_readers` the readers stay when their publisher leaves.
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
        self.weather = Weather()
        self.weather.dice.seed(seed)
        self._state = RtspState(Gate(self.users, scheme), self.weather, keep_readers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: asyncio.Server | None = None

    # Its life --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to listen, on the same port as before if there was one; what has been counted stays."""
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live(ready)), name="rtsp server", daemon=True)
        self._thread.start()
        ready.result(_ANSWER_S)

    def stop(self) -> None:
        """Stop as a killed server does: nobody listens, every connection is closed."""
        if self._thread is not None:
            self._do(self._over.set)
            self._thread.join(_ANSWER_S)
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
        """The address of a path; with `user`, that one and the password are in it, percent-encoded."""
        who = f"{quote(user, safe='')}:{quote(self.users[user], safe='')}@" if user else ""
        return f"rtsp://{who}{_HOST}:{self.port}/{path}"

    # What it has seen ------------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Asked]:
        """Every request so far: (method, path, who)."""
        return list(self._state.requests)

    def sessions(self, path: str) -> int:
        """How many sessions have been announced there, over all."""
        return len(self._state.mount(path).arrivals)

    def teardowns(self, path: str) -> int:
        """How many publishers have taken leave with TEARDOWN."""
        return self._state.mount(path).teardowns

    def received_bytes(self, path: str) -> int:
        """How much RTP has come from publishers."""
        return self._state.mount(path).received_bytes

    def arrivals(self, path: str, session: int = -1) -> list[Arrival]:
        """The pictures that a publisher has sent: their RTP times, and when each came."""
        sessions = self._state.mount(path).arrivals
        return list(sessions[session]) if sessions else []

    def publishing(self, path: str) -> bool:
        """Whether somebody publishes there now."""
        return self._state.mount(path).recording

    def readers(self, path: str) -> int:
        """How many read there now."""
        return len(self._state.mount(path).readers)

    def wait_for(self, happened: Callable[[], object], *, timeout_s: float = 10.0) -> None:
        """Wait until `happened()`, which examines this server; AssertionError when it does not in time."""
        until(happened, timeout_s=timeout_s, what=lambda: f"the server has seen {self.requests[-12:]}")

    # Faults ----------------------------------------------------------------------------------------------------------

    @property
    def silent(self) -> bool:
        """Accept connections and answer nothing."""
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
        """The share of RTP datagrams that gets lost; see `weather` for the other things that may happen to them."""
        return self.weather.loss

    @loss.setter
    def loss(self, share: float) -> None:
        self.weather.loss = share

    def stall(self, path: str | None = None) -> None:
        """Swallow the RTP of a path, or of all known; connections stay."""
        self._stalled(path, now=True)

    def resume(self, path: str | None = None) -> None:
        """End a stall."""
        self._stalled(path, now=False)

    def blind(self, path: str) -> None:
        """Swallow the pictures of a path from now on; sound goes on."""
        self._state.mount(path).blind = True

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

    def refuse(self) -> None:
        """Stop listening, so that who connects is refused; connections stay."""
        self._do(self._close_listener)

    def accept(self) -> None:
        """Listen again, on the same port."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._running).result(_ANSWER_S)

    def stop_reading(self, path: str) -> None:
        """Read nothing more from a path's present publisher: it will block in a send."""
        self._do(self._publisher(path).stop_reading)

    def read_on(self, path: str) -> None:
        """Read from it again."""
        self._do(self._publisher(path).read_on)

    def shift_next(self, path: str, seconds: float, *, pictures: int | None = 1) -> None:
        """Move the RTP times of the next `pictures` (None: of all that follow), as readers get them."""
        self._do(lambda: self._state.mount(path).clock.shift(seconds, pictures=pictures))

    def wrap_in(self, path: str, seconds: float) -> None:
        """Let the 32 bits of the RTP times run over `seconds` from the next picture on, as readers get them.

        Who reads already sees a jump at the next picture; who comes after it sees only the overflow.
        """
        self._do(lambda: self._state.mount(path).clock.wrap_in(seconds))

    # On the server's thread ------------------------------------------------------------------------------------------

    async def _live(self, ready: Future[None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self._listen()
        except OSError as error:
            ready.set_exception(error)
            return
        ready.set_result(None)
        await self._over.wait()
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

    def _do(self, action: Callable[[], _T]) -> _T:
        async def act() -> _T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._running).result(_ANSWER_S)

    def _reset(self, meant: Callable[[Connection], bool]) -> None:
        def act() -> None:
            for connection in [each for each in self._state.connections if meant(each)]:
                connection.reset()

        self._do(act)

    def _stalled(self, path: str | None, *, now: bool) -> None:
        mounts = list(self._state.mounts.values()) if path is None else [self._state.mount(path)]
        for mount in mounts:
            mount.stalled = now

    def _publisher(self, path: str) -> Connection:
        publisher = self._state.mount(path).publisher
        assert isinstance(publisher, Connection), f"nobody publishes to {path}"
        return publisher
