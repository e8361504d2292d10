"""What a camera says of its tracks: SDP (RFC 4566), and the addresses of its tracks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_READABLE = ("video", "audio")


@dataclass(frozen=True, slots=True)
class MediaTrack:
    """One track of a description."""

    kind: str
    """`video` or `audio`."""
    control: str
    """Its address, relative or absolute; may be empty."""
    lines: tuple[str, ...]
    """Its lines but for its address."""


@dataclass(frozen=True, slots=True)
class Description:
    """A camera's tracks of pictures and sound; others, such as ONVIF metadata, are left out."""

    session_lines: tuple[str, ...]
    control: str
    """The address of all tracks together; `*` or empty: that of the description."""
    base: str
    """What relative addresses belong to, by the camera's word."""
    tracks: tuple[MediaTrack, ...]

    def local_sdp(self) -> bytes:
        """The description with the addresses `streamid=0`, `streamid=1`, …"""
        lines = list(self.session_lines)
        for number, track in enumerate(self.tracks):
            lines += [*track.lines, f"a=control:streamid={number}"]
        return ("\r\n".join(lines) + "\r\n").encode()


def parse_description(sdp: bytes, *, base: str) -> Description:
    """Parse an SDP; `base`: the camera's word for the address that relative ones belong to."""
    lines = [line.rstrip("\r") for line in sdp.decode("utf-8", "replace").split("\n")]
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    session, *media = sections
    tracks = []
    for section in media:
        kind = section[0].removeprefix("m=").split(" ", maxsplit=1)[0]
        if kind in _READABLE:
            tracks.append(MediaTrack(kind, _control(section), tuple(_without_control(section))))
    return Description(tuple(_without_control(session)), _control(session), base, tuple(tracks))


def addresses(control: str, *, base: str, url: str) -> list[str]:
    """Where `control` may be, the likeliest first: by the camera's word `base`, then by the `url` that it answered at.

    Cameras name addresses of their own network, or others that do not exist.
    """
    found = [_join(base, control), _join(url, control)]
    if "://" in control:
        there, here = urlsplit(control), urlsplit(url)
        found.append(there._replace(scheme=here.scheme, netloc=here.netloc).geturl())
    return list(dict.fromkeys(found))


def _join(base: str, control: str) -> str:
    if control in ("", "*"):
        return base
    if "://" in control:
        return control
    return base + ("" if base.endswith("/") else "/") + control.removeprefix("/")


def _control(section: list[str]) -> str:
    found = (re.fullmatch(r"a=control:\s*(.*?)\s*", line) for line in section)
    return next((match[1] for match in found if match), "")


def _without_control(section: list[str]) -> list[str]:
    return [line for line in section if not line.startswith("a=control:")]
