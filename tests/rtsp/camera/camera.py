"""A network camera for tests, on the loopback: serves the same coded pictures over and over, with faults on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

from tests.rtsp.camera.behaviour import Behaviour
from tests.rtsp.camera.client import Client
from tests.rtsp.camera.clip import Track
from tests.rtsp.server.messages import Request

_HOST = "127.0.0.1"
_STOP_TIMEOUT_S = 5.0


class Camera:
    """Serves its tracks at every path, to every client from the first picture on; threads, within a `with` block."""

    def __init__(self, *tracks: Track, behaviour: Behaviour | None = None) -> None:
        self.behaviour = behaviour or Behaviour()
        self.tracks = tracks
        """May be replaced; clients get those at the time of their DESCRIBE."""
        self.requests: list[Request] = []
        """Every request so far."""
        self.expired = 0
        """Sessions that were not kept alive."""
        self.sessions = 0
        """Sessions that were played."""
        self.sent = 0
        """Units of all tracks sent so far."""
        self._clients: set[Client] = set()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._listener = socket.create_server((_HOST, 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.disconnect()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)
            assert not thread.is_alive()

    def url(self, *, user: str | None = None) -> str:
        """Its address; `user`: credentials to put in it, `name:password`."""
        scheme = "rtsp" if self.behaviour.tls is None else "rtsps"
        return f"{scheme}://{f'{user}@' if user else ''}{_HOST}:{self.port}/main"

    def methods(self) -> list[str]:
        """The methods of the requests so far."""
        return [request.method for request in self.requests]

    def disconnect(self) -> None:
        """Close every connection."""
        for client in list(self._clients):
            client.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.behaviour.tls is not None:
                connection.settimeout(_STOP_TIMEOUT_S)
                connection = self.behaviour.tls.wrap_socket(connection, server_side=True)
            client = Client(self, connection)
            self._clients.add(client)
            try:
                client.run()
            finally:
                self._clients.discard(client)
                client.close()
        connection.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="camera", daemon=True)  # type: ignore[arg-type]
        self._threads = [each for each in self._threads if each.is_alive()] + [thread]
        thread.start()

    def wait_for_requests(self, method: str, count: int, *, timeout_s: float = 15.0) -> None:
        """Wait until `count` requests of that method have come; AssertionError after the timeout."""
        deadline = time.monotonic() + timeout_s
        while self.methods().count(method) < count:
            assert time.monotonic() < deadline, f"{method}: {self.methods()}"
            time.sleep(0.02)
