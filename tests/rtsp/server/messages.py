"""RTSP messages: requests, responses, interleaved RTP, SDP and URLs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_END_OF_HEAD = b"\r\n\r\n"
_TRACK = re.compile(r"/(?:streamid|stream|trackid)=(\d+)/?$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """A client's request."""

    method: str
    uri: str
    headers: Mapping[str, str]
    """Headers, with names in lower case."""
    body: bytes

    @property
    def path(self) -> str:
        """Its path, without leading and trailing slashes, track and query."""
        return normalize_path(_TRACK.sub("", urlsplit(self.uri).path))

    @property
    def track(self) -> int:
        """Its track number; 0 if it names none."""
        found = _TRACK.search(urlsplit(self.uri).path)
        return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True)
class Interleaved:
    """An RTP or RTCP packet on the RTSP connection."""

    channel: int
    packet: bytes


def normalize_path(path: str) -> str:
    """Normalise a path: `/cam/` becomes `cam`."""
    return path.strip("/")


def pop_message(inbox: bytearray) -> Request | Interleaved | None:
    """Remove the first complete message from `inbox`; None if incomplete. ValueError if it is not RTSP."""
    while inbox.startswith((b"\r", b"\n")):
        del inbox[0]
    return _pop_packet(inbox) if inbox[:1] == b"$" else _pop_request(inbox)


def _pop_packet(inbox: bytearray) -> Interleaved | None:
    end = 4 + int.from_bytes(inbox[2:4], "big")
    if len(inbox) < max(end, 4):
        return None
    item = Interleaved(inbox[1], bytes(inbox[4:end]))
    del inbox[:end]
    return item


def _pop_request(inbox: bytearray) -> Request | None:
    head_end = inbox.find(_END_OF_HEAD)
    if head_end < 0:
        return None
    first, *lines = inbox[:head_end].decode("utf-8", "replace").split("\r\n")
    method, uri, _version = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    begin = head_end + len(_END_OF_HEAD)
    end = begin + int(headers.get("content-length", 0))
    if len(inbox) < end:
        return None
    request = Request(method, uri, headers, bytes(inbox[begin:end]))
    del inbox[:end]
    return request


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    status: str
    headers: Mapping[str, str]
    body: bytes = b""

    def encode(self, request: Request) -> bytes:
        """The response to `request` as bytes."""
        headers = {"CSeq": request.headers.get("cseq", "0"), **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"RTSP/1.0 {self.status}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + _END_OF_HEAD + self.body


def interleaved_frame(channel: int, packet: bytes) -> bytes:
    """An RTP or RTCP packet, interleaved for an RTSP connection."""
    return b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet


def sdp_for_readers(sdp: bytes) -> bytes:
    """A publisher's SDP with the server's own track URLs: `streamid=0`, `streamid=1`, …"""
    numbers = itertools.count()
    bare = re.sub(rb"(?m)^a=control:.*\r?\n", b"", sdp)
    return re.sub(rb"(?m)^m=.*\r?\n", lambda line: line[0] + b"a=control:streamid=%d\r\n" % next(numbers), bare)


def video_track(sdp: bytes) -> int:
    """Number of the first video track in an SDP."""
    kinds = re.findall(rb"(?m)^m=(\w+)", sdp)
    return kinds.index(b"video") if b"video" in kinds else 0


def port_pair(transport: str, name: str) -> tuple[int, int] | None:
    """The two values of `name=A-B` (`interleaved`, `client_port`) in a Transport header."""
    found = re.search(rf"{name}=(\d+)-(\d+)", transport)
    return (int(found[1]), int(found[2])) if found else None
