"""The gateway: a local RTSP server for one reader, FFmpeg, which passes on what a camera sends.

FFmpeg's own client knows neither SHA-256 nor cameras that want a fresh nonce per request, believes every Content-Base,
accepts any certificate, and takes repeated datagrams for new ones. Here, the gateway speaks to the camera; FFmpeg gets
the packets in order over a local connection, and never learns the password.
"""

from __future__ import annotations

import re
import secrets
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from types import TracebackType

from deepclarity.stream.rtsp.failure import SourceFailure

from . import messages
from .camera import CameraConnection
from .messages import Interleaved, Message
from .udp import UdpTrack

_HOST = "127.0.0.1"
_POLL_S = 0.05
_STOP_TIMEOUT_S = 1.0
_MAX_KEEP_ALIVE_S = 25.0
_TRACK = re.compile(r"/streamid=(\d+)$")
_CHANNELS = re.compile(r"interleaved=(\d+)(?:-(\d+))?")


class Gateway:
    """`with Gateway(url, …) as gateway:` FFmpeg reads from `gateway.url`, over TCP."""

    def __init__(self, url: str, *, transport: str, timeout_s: float, verify_tls: bool) -> None:
        """Connect to the camera at `url` and ask for its tracks; raises OSError if that fails.

        `transport`: `tcp` or `udp`, between the camera and the gateway.
        """
        self._transport, self._timeout_s = transport, timeout_s
        self.failure: OSError | None = None
        """Why the camera's stream has ended; None while it runs."""
        try:
            self._camera = CameraConnection(url, timeout_s=timeout_s, verify_tls=verify_tls)
            self._sdp = self._camera.describe().local_sdp()
        except TimeoutError as error:
            raise SourceFailure("no answer in time") from error
        self._tracks: dict[int, UdpTrack] = {}
        self._local_channels: dict[int, int] = {}
        """The camera's interleaved channels → those of the reader."""
        self._token = secrets.token_urlsafe(16)
        self._listener = socket.create_server((_HOST, 0))
        self.url = f"rtsp://{_HOST}:{self._listener.getsockname()[1]}/{self._token}"
        """Where the reader finds the stream; only the first one who knows it is let in."""
        self._closing = threading.Event()
        self._playing = False
        self._keep_alive_s = 0.0
        self._thread = threading.Thread(target=self._run, name="rtsp gateway", daemon=True)

    def __enter__(self) -> Gateway:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join(_STOP_TIMEOUT_S)

    # The thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._reader = self._accept()
            self._serve()
        except TimeoutError:
            self.failure = SourceFailure("no answer in time")
        except OSError as error:
            self.failure = error
        except (ValueError, IndexError):
            self.failure = SourceFailure("it does not speak RTSP")
        finally:
            self._camera.teardown()
            self._camera.close()
            self._listener.close()
            for track in self._tracks.values():
                track.close()
            if hasattr(self, "_reader"):
                self._reader.close()

    def _accept(self) -> socket.socket:
        self._listener.settimeout(self._timeout_s)
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(None)
        return connection

    def _serve(self) -> None:
        """Pass on until one side ends."""
        inbox = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            while not self._closing.is_set():
                ready = {key.fileobj for key, _ in selector.select(_POLL_S)}
                if self._reader in ready:
                    data = self._reader.recv(1 << 16)
                    if not data:
                        return
                    inbox += data
                    while (item := messages.take(inbox)) is not None:
                        self._from_reader(item)
                    if self._playing and self._camera.socket not in selector.get_map():
                        self._register(selector)
                if self._camera.socket in ready:
                    self._from_camera()
                self._from_udp()
                self._keep_alive()

    def _register(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._camera.socket, selectors.EVENT_READ)
        for track in self._tracks.values():
            selector.register(track.media, selectors.EVENT_READ)
            selector.register(track.reports, selectors.EVENT_READ)

    # The reader's side ------------------------------------------------------------------------------------------------

    def _from_reader(self, item: Message | Interleaved) -> None:
        if isinstance(item, Interleaved):
            self._send_report(item)
            return
        method, uri, *_ = [*item.first.split(" "), "", ""]
        headers, body = [("CSeq", item.header("cseq")), ("Session", "1;timeout=60")], b""
        if f"/{self._token}" not in uri:
            raise SourceFailure("another program has connected in place of the reader")
        if method == "OPTIONS":
            headers.append(("Public", "DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"))
        elif method == "DESCRIBE":
            headers += [("Content-Type", "application/sdp"), ("Content-Base", f"{self.url}/")]
            body = self._sdp
        elif method == "SETUP":
            headers.append(("Transport", self._set_up(uri)))
        elif method == "PLAY":
            self._camera.play()
            self._playing = True
        self._reader.sendall(messages.encode("RTSP/1.0 200 OK", headers, body))
        if method == "PLAY":
            self._forward(self._camera.early)
            self._camera.early.clear()

    def _set_up(self, uri: str) -> str:
        """Set up the track that the reader wants; returns its Transport header."""
        found = _TRACK.search(uri)
        number = int(found[1]) if found else 0
        local = 2 * number
        if self._transport == "udp":
            family = self._camera.socket.family
            track = self._tracks[number] = UdpTrack(self._camera.socket.getpeername()[:2], socket.AddressFamily(family))
            track.begin(self._camera.setup(number, track.transport))
        else:
            answer = self._camera.setup(number, f"RTP/AVP/TCP;unicast;interleaved={local}-{local + 1}")
            channels = _CHANNELS.search(answer)
            first = int(channels[1]) if channels else local
            second = int(channels[2]) if channels and channels[2] else first + 1
            self._local_channels |= {first: local, second: local + 1}
        return f"RTP/AVP/TCP;unicast;interleaved={local}-{local + 1}"

    def _send_report(self, item: Interleaved) -> None:
        """Pass on what the reader reports of its reception."""
        if self._transport == "udp":
            if (track := self._tracks.get(item.channel // 2)) is not None:
                track.send_report(item.packet)
            return
        channel = next((there for there, here in self._local_channels.items() if here == item.channel), None)
        if channel is not None:
            self._camera.socket.sendall(Interleaved(channel, item.packet).encode())

    # The camera's side ------------------------------------------------------------------------------------------------

    def _from_camera(self) -> None:
        while True:
            packets = []
            for item in self._camera.received():
                if isinstance(item, Interleaved):
                    packets.append(item)
                elif item.is_response:
                    self._camera.answered(item)
                else:
                    self._camera.reply(item)
            self._forward(packets)
            connection = self._camera.socket
            if not (isinstance(connection, ssl.SSLSocket) and connection.pending()):
                return

    def _forward(self, packets: Iterable[Interleaved]) -> None:
        """Pass packets on to the reader."""
        data = b"".join(
            Interleaved(self._local_channels[item.channel], item.packet).encode()
            for item in packets
            if item.channel in self._local_channels
        )
        if data:
            self._reader.sendall(data)

    def _from_udp(self) -> None:
        now_s, data = time.monotonic(), bytearray()
        for number, track in self._tracks.items():
            for packet in track.receive_media(now_s=now_s) + track.overdue(now_s=now_s):
                data += Interleaved(2 * number, packet).encode()
            for packet in track.receive_reports():
                data += Interleaved(2 * number + 1, packet).encode()
        if data:
            self._reader.sendall(data)

    def _keep_alive(self) -> None:
        now_s = time.monotonic()
        if not self._playing:
            self._keep_alive_s = now_s
        elif now_s - self._keep_alive_s >= min(_MAX_KEEP_ALIVE_S, self._camera.session_timeout_s / 2.5):
            self._keep_alive_s = now_s
            self._camera.keep_alive()
