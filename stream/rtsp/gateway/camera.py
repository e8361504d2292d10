"""Connection to a camera's RTSP server: requests with authentication, redirects, sessions and TLS."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from dataclasses import dataclass
from urllib.parse import unquote, urljoin, urlsplit

from deepclarity.stream.rtsp.failure import SourceFailure
from deepclarity.stream.rtsp.tls import encrypt
from deepclarity.version import __version__

from . import messages
from .authentication import Challenge, best_challenge
from .description import Description, addresses, parse_description
from .messages import Interleaved, Message

_PORTS = {"rtsp": 554, "rtsps": 322}
_MAX_REDIRECTS = 5
_MAX_CHALLENGES = 3
_RECEIVE_BYTES = 1 << 16
_REFUSED = "user or password refused"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a camera is."""

    url: str
    """Its address without user and password."""
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """The endpoint of an RTSP address; ValueError if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("not an RTSP address")
        location = parts.netloc.rpartition("@")[2]
        bare = parts._replace(netloc=location).geturl()
        return cls(bare, parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])


class CameraConnection:
    """One RTSP session with a camera. Not thread-safe; every call ends within the time limit."""

    def __init__(self, url: str, *, timeout_s: float, verify_tls: bool) -> None:
        """Connect to `url`, which may hold user and password; raises OSError if that fails."""
        parts = urlsplit(url)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._has_user = parts.username is not None
        self._timeout_s, self._verify_tls = timeout_s, verify_tls
        self.session_timeout_s = 60.0
        """After this time without a request the camera ends the session."""
        self.early: deque[Interleaved] = deque()
        """Packets that came while a response was waited for."""
        self._challenge: Challenge | None = None
        self._sequence = 0
        self._session = ""
        self._keep_alive_methods = ["OPTIONS"]
        self._description: Description | None = None
        self._connect(Endpoint.parse(url))

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self.socket.close()

    # Session ----------------------------------------------------------------------------------------------------------

    def describe(self) -> Description:
        """Ask for the tracks, wherever the camera sends us."""
        for _ in range(_MAX_REDIRECTS):
            public = self.request("OPTIONS", self._endpoint.url, [])
            if "GET_PARAMETER" in public.header("public"):
                self._keep_alive_methods = ["GET_PARAMETER", "OPTIONS"]
            answer = self.request("DESCRIBE", self._endpoint.url, [("Accept", "application/sdp")])
            if not 300 < answer.status < 400:
                break
            self._redirect(answer.header("location"))
        else:
            raise SourceFailure(f"it redirects more than {_MAX_REDIRECTS} times")
        _check(answer, "DESCRIBE")
        base = answer.header("content-base") or answer.header("content-location") or self._endpoint.url
        self._description = parse_description(answer.body, base=urljoin(self._endpoint.url, base))
        if not any(track.kind == "video" for track in self._description.tracks):
            raise SourceFailure("no video in it")
        return self._description

    def setup(self, number: int, transport: str) -> str:
        """Set a track up; returns the Transport header that the camera answers to `transport`."""
        assert self._description is not None
        control, answer = self._description.tracks[number].control, None
        for uri in addresses(control, base=self._description.base, url=self._endpoint.url):
            answer = self.request("SETUP", uri, [("Transport", transport)])
            if answer.status == 461:
                raise SourceFailure("it does not offer this transport; try the other --transport")
            if answer.status < 300:
                break
        assert answer is not None
        _check(answer, "SETUP")
        self._session, _, parameters = answer.header("session").partition(";")
        name, _, value = parameters.strip().partition("=")
        if name.lower() == "timeout" and value.strip().isdecimal():
            self.session_timeout_s = max(1.0, float(value))
        return answer.header("transport")

    def play(self) -> None:
        """Start what was set up."""
        answer = None
        for uri in self._aggregate():
            answer = self.request("PLAY", uri, [("Range", "npt=0.000-")])
            if answer.status < 300:
                return
        assert answer is not None
        _check(answer, "PLAY")

    def teardown(self) -> None:
        """End the session without waiting for the answer."""
        with contextlib.suppress(OSError):
            self.send("TEARDOWN", self._aggregate()[0])

    def keep_alive(self) -> None:
        """Prolong the session without waiting for the answer, which goes to `answered`."""
        self.send(self._keep_alive_methods[0], self._aggregate()[0])

    def answered(self, message: Message) -> None:
        """Take the answer to `keep_alive`: sign the next one anew, or use the other method."""
        if message.status == 401:
            self._take_challenge(message)
            self.keep_alive()
        elif message.status >= 400 and message.status != 454 and len(self._keep_alive_methods) > 1:
            del self._keep_alive_methods[0]
            self.keep_alive()

    def _aggregate(self) -> list[str]:
        assert self._description is not None
        return addresses(self._description.control, base=self._description.base, url=self._endpoint.url)

    # Requests ---------------------------------------------------------------------------------------------------------

    def request(self, method: str, uri: str, headers: list[tuple[str, str]]) -> Message:
        """Send a request, signed as the camera asks; returns its response, whatever its status but 401 and 403."""
        for _ in range(_MAX_CHALLENGES):
            before = self._challenge
            answer = self._receive_answer(self.send(method, uri, headers))
            if answer.status == 403:
                raise SourceFailure(_REFUSED)
            if answer.status != 401:
                return answer
            self._take_challenge(answer)
            assert self._challenge is not None
            if before is not None and before.uses <= 1 and not self._challenge.stale:
                break  # the nonce was fresh
        raise SourceFailure(_REFUSED)

    def send(self, method: str, uri: str, headers: list[tuple[str, str]] | None = None) -> int:
        """Send a request; returns its number."""
        self._sequence += 1
        lines = [("CSeq", str(self._sequence)), ("User-Agent", f"deepclarity/{__version__}"), *(headers or [])]
        if self._session:
            lines.append(("Session", self._session))
        if self._challenge is not None:
            signature = self._challenge.sign(method, uri, user=self._user, password=self._password)
            lines.append(("Authorization", signature))
        self.socket.sendall(messages.encode(f"{method} {uri} RTSP/1.0", lines))
        return self._sequence

    def reply(self, message: Message) -> None:
        """Answer a request of the camera."""
        known = message.first.startswith(("OPTIONS", "GET_PARAMETER", "SET_PARAMETER"))
        status = "200 OK" if known else "501 Not Implemented"
        self.socket.sendall(messages.encode(f"RTSP/1.0 {status}", [("CSeq", message.header("cseq"))]))

    def received(self) -> list[Message | Interleaved]:
        """Receive once; returns what is complete. Raises ConnectionResetError at the end of the connection."""
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            raise SourceFailure("the camera has closed the connection")
        self._inbox += data
        items = []
        try:
            while (item := messages.take(self._inbox)) is not None:
                items.append(item)
        except ValueError as error:
            raise SourceFailure("it does not speak RTSP") from error
        return items

    def _receive_answer(self, number: int) -> Message:
        deadline, found = time.monotonic() + self._timeout_s, None
        while found is None:
            if time.monotonic() > deadline:
                raise TimeoutError
            for item in self.received():
                if isinstance(item, Interleaved):
                    self.early.append(item)
                elif not item.is_response:
                    self.reply(item)
                elif item.header("cseq") in ("", str(number)):
                    found = item
        return found

    def _take_challenge(self, answer: Message) -> None:
        headers = answer.all("www-authenticate")
        challenge = best_challenge(headers)
        if challenge is None:
            names = ", ".join(sorted({header.split(" ", maxsplit=1)[0] for header in headers})) or "unknown"
            raise SourceFailure(f"it asks for a kind of authentication that is not supported ({names[:60]})")
        if not self._has_user:
            raise SourceFailure(_REFUSED)
        self._challenge = challenge

    # Connection -------------------------------------------------------------------------------------------------------

    def _connect(self, endpoint: Endpoint) -> None:
        self._endpoint, self._inbox = endpoint, bytearray()
        raw = socket.create_connection((endpoint.host, endpoint.port), self._timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        encrypted = endpoint.scheme == "rtsps"
        self.socket = encrypt(raw, endpoint.host, verify=self._verify_tls) if encrypted else raw

    def _redirect(self, location: str) -> None:
        """Go on at another address. Only the same host gets the password, and encryption is not given up."""
        before = self._endpoint
        try:
            after = Endpoint.parse(urljoin(before.url, location))
        except ValueError as error:
            raise SourceFailure("it redirects to what is no RTSP address") from error
        if before.scheme == "rtsps" and after.scheme == "rtsp":
            raise SourceFailure("it redirects from an encrypted to an open connection: refused")
        self.close()
        self._has_user = self._has_user and after.host == before.host
        self._challenge, self._session = None, ""
        self._connect(after)


def _check(answer: Message, method: str) -> None:
    """Raise SourceFailure for a response that refuses."""
    if answer.status == 404:
        raise SourceFailure("nothing is published there (404)")
    if not 200 <= answer.status < 300:
        raise SourceFailure(f"it answers {method} with status {answer.status}")
