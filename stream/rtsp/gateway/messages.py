"""RTSP messages on a connection (RFC 2326): requests, responses and interleaved packets."""

from __future__ import annotations

from dataclasses import dataclass

_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD_BYTES = 1 << 16
_MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response."""

    first: str
    """Its first line."""
    headers: tuple[tuple[str, str], ...]
    """(name in lower case, value), in order; names may repeat."""
    body: bytes = b""

    @property
    def is_response(self) -> bool:
        """Whether this is a response, not a request."""
        return self.first.startswith("RTSP/")

    @property
    def status(self) -> int:
        """Status of a response; 0 if it cannot be read."""
        words = self.first.split()
        return int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0

    def header(self, name: str) -> str:
        """The first header of that name; empty without one."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every header of that name."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True, slots=True)
class Interleaved:
    """An RTP or RTCP packet on the connection."""

    channel: int
    packet: bytes

    def encode(self) -> bytes:
        """The packet with its frame."""
        return b"$" + bytes([self.channel]) + len(self.packet).to_bytes(2, "big") + self.packet


def take(inbox: bytearray) -> Message | Interleaved | None:
    """Remove the first complete message from `inbox`; None if there is none. ValueError if it is not RTSP."""
    while inbox.startswith((b"\r", b"\n")):
        del inbox[0]
    return _take_packet(inbox) if inbox[:1] == b"$" else _take_message(inbox)


def encode(first: str, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    """A request or response as bytes."""
    if body:
        headers = [*headers, ("Content-Length", str(len(body)))]
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join(lines).encode() + _END_OF_HEAD + body


def _take_packet(inbox: bytearray) -> Interleaved | None:
    if len(inbox) < 4:
        return None
    end = 4 + int.from_bytes(inbox[2:4], "big")
    if len(inbox) < end:
        return None
    item = Interleaved(inbox[1], bytes(inbox[4:end]))
    del inbox[:end]
    return item


def _take_message(inbox: bytearray) -> Message | None:
    at = inbox.find(_END_OF_HEAD)
    if at < 0:
        if len(inbox) > _MAX_HEAD_BYTES:
            raise ValueError("not RTSP")
        return None
    first, *lines = inbox[:at].decode("utf-8", "replace").split("\r\n")
    pairs = [line.partition(":") for line in lines]
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in pairs)
    length = next((value for name, value in headers if name == "content-length"), "0")
    begin = at + len(_END_OF_HEAD)
    end = begin + (int(length) if length.isdecimal() else 0)
    if "RTSP/" not in first or end - begin > _MAX_BODY_BYTES:
        raise ValueError("not RTSP")
    if len(inbox) < end:
        return None
    message = Message(first, headers, bytes(inbox[begin:end]))
    del inbox[:end]
    return message
