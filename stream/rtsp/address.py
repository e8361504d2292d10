"""Parses addresses of live sources and sinks (URLs, cameras, files) and hides credentials in their labels."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from deepclarity.errors import UsageError, did_you_mean, hide_secrets

_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "tcp")
_OUTPUTS = ("rtsp", "rtsps")
_ADDRESS = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_LAST_PORT = 65_535
_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}

_DEVICES = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}
"""By system: FFmpeg's input device, and how it names the n-th camera."""


@dataclass(frozen=True, slots=True)
class Address:
    """Something that FFmpeg opens. Only `label` may be shown, logged or counted under."""

    url: str = field(repr=False)
    """What FFmpeg is given; may hold a password."""
    label: str
    """The same for people, secrets cut out."""
    scheme: str
    """`rtsp`, `udp`, …, `file` or `camera`."""
    muxer: str | None = None
    """FFmpeg's format where it cannot be distinguished from the address."""
    options: dict[str, str] = field(default_factory=dict)
    """FFmpeg's options for opening it."""
    host: str | None = None
    port: int | None = None

    @property
    def is_camera(self) -> bool:
        """Whether it is a device of this machine, to be asked for again every two seconds."""
        return self.scheme == "camera"

    @property
    def can_be_probed(self) -> bool:
        """Whether there is a port that accepts connections when the peer is there."""
        return self.scheme not in ("udp", "rtp") and self.host is not None and self.port is not None

    @property
    def is_synthetic(self) -> bool:
        """Whether FFmpeg draws it: as fast as it can, and never another time if its graph is wrong."""
        return self.muxer == "lavfi"

    def same_endpoint(self, other: Address) -> bool:
        """Whether both lead to the same place, whoever asks."""
        place, others = (re.sub(r"^[^/]*//[^/]*", "", each.url).rstrip("/") for each in (self, other))
        return (self.host, self.port, place) == (other.host, other.port, others) and self.host is not None

    @property
    def is_finite(self) -> bool:
        """Whether its end is its end; anything live has only been interrupted."""
        return self.scheme == "file"


def source_address(text: str, *, transport: str = "tcp", timeout_s: float = 5.0) -> Address:
    """The source that a user names: rtsp(s), rtmp(s), http(s) (HLS), udp, rtp, tcp, or a file's path.

    `transport`: `tcp` or `udp`, for rtsp. Raises UsageError for an address of another kind.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        local = {"protocol_whitelist": "file,pipe"}
        return Address(str(Path(text).absolute()), hide_secrets(text), "file", options=local)
    scheme = match["scheme"].lower()
    if scheme not in _SCHEMES:
        raise UsageError(f"{text}: cannot read '{scheme}' addresses; {did_you_mean(scheme, _SCHEMES)}")
    if transport not in ("tcp", "udp"):
        raise UsageError(f"--transport {transport}: use tcp or udp.")
    return _remote(scheme, match["rest"], _reading(scheme, transport, timeout_s))


def sink_address(text: str, *, timeout_s: float = 5.0) -> Address:
    """The RTSP server's path that a user wants to publish to; UsageError for anything else."""
    match = _ADDRESS.fullmatch(text)
    scheme = match["scheme"].lower() if match else "?"
    if match is None or scheme not in _OUTPUTS:
        raise UsageError(f"{text}: cannot publish there. Use rtsp://HOST[:PORT]/PATH of an RTSP server.")
    options = {"rtsp_transport": "tcp", "timeout": _micro(timeout_s)}
    return _remote(scheme, match["rest"], options)


def camera_address(text: str, *, size: str | None = None, rate: str | None = None) -> Address:
    """A camera by number, by device, or `lavfi:GRAPH` for one that FFmpeg draws.

    `size`: `WIDTHxHEIGHT` and `rate`: pictures a second, to ask the camera for; it may give something else.
    """
    if text.startswith("lavfi:"):
        label = text if re.search(r"[@?]", text) is None else "lavfi:…"  # a graph may name an address of its own
        return Address(text.removeprefix("lavfi:"), label, "camera", muxer="lavfi")
    if "://" in text:
        raise UsageError(f"--camera {hide_secrets(text)}: an address, not a camera. Use 'deepclarity relay'.")
    if not text or Path(text).is_dir():
        raise UsageError(f"--camera '{text}': no camera. Use its number, such as 0, or its device.")
    device, pattern = _DEVICES.get(sys.platform, _DEVICES["linux"])
    named = text.isdigit() or (device == "dshow" and not text.startswith("video="))
    name = pattern.format(text) if named else text
    options = {"video_size": size or "", "framerate": rate or ""}
    return Address(name, f"camera {name}", "camera", device, {key: value for key, value in options.items() if value})


def _remote(scheme: str, rest: str, options: dict[str, str]) -> Address:
    user, place = _split_user(rest)
    found = re.match(r"(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?", place)
    host = found[1].strip("[]") if found else ""
    if not host:
        raise UsageError(f"{hide_secrets(f'{scheme}://{rest}')}: no host in it. Use {scheme}://HOST[:PORT]/PATH.")
    port = int(found[2]) if found and found[2] else _PORTS.get(scheme)
    if port is not None and not 0 < port <= _LAST_PORT:
        raise UsageError(f"{hide_secrets(f'{scheme}://{place}')}: there is no port {port}. Use 1 to {_LAST_PORT}.")
    url = f"{scheme}://{user}{place}"
    return Address(url, _label(scheme, place), scheme, _muxer(scheme), options, host, port)


def _label(scheme: str, place: str) -> str:
    """What may be shown of an address. The last part of an RTMP path is a key that lets its holder publish."""
    shown = hide_secrets(f"{scheme}://{place}")
    return re.sub(r"(://[^/]+/[^/]+/)[^?]+", r"\1***", shown) if scheme.startswith("rtmp") else shown


def _split_user(rest: str) -> tuple[str, str]:
    """`user:password@` (encoded, or empty) and what follows it. A password may hold `@` and `/`, so may a path."""
    before_path = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" not in rest or re.fullmatch(r"(\[[^\]]*\]|[^:@]+)(:\d+)?", before_path):
        return "", rest
    user, _, place = rest.rpartition("@")
    return f"{_encoded(user)}@", place


def _encoded(user: str) -> str:
    """`user:password` as an address may hold it: what is percent-encoded already stays as it is."""
    name, colon, password = user.partition(":")
    return quote(unquote(name), safe="") + colon + quote(unquote(password), safe="")


def _reading(scheme: str, transport: str, timeout_s: float) -> dict[str, str]:
    soon = {"fflags": "nobuffer", "probesize": "200000", "analyzeduration": "500000"}
    if scheme in ("rtsp", "rtsps"):
        return soon | {"rtsp_transport": transport, "timeout": _micro(timeout_s), "max_delay": "200000"}
    if scheme in ("udp", "rtp"):
        return soon | {"timeout": _micro(timeout_s), "overrun_nonfatal": "1", "fifo_size": "50000"}
    if scheme in ("http", "https"):  # HLS: nothing may lead from the network to our files
        whitelist = "http,https,tcp,tls,crypto,data"
        return {"rw_timeout": _micro(timeout_s), "protocol_whitelist": whitelist}
    return soon | {"rw_timeout": _micro(timeout_s)}


def _muxer(scheme: str) -> str | None:
    return {"rtsp": "rtsp", "rtsps": "rtsp", "udp": "mpegts", "tcp": "mpegts"}.get(scheme)


def _micro(seconds: float) -> str:
    return str(round(seconds * 1_000_000))
