"""Trial of a copied track: asks a muxer about each packet before it reaches the output."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import av
from av.stream import Stream

from deepclarity.stream.packets import AnyPacket


class TrialTrack:
    """Writes one track into nothing with the output's muxer, within a `with` block.

    FFmpeg's muxers keep packets back to interleave the tracks: the output reports a refused packet with the write of
    some later one, often of the video. Here the track is alone, so that its own write fails.
    """

    def __init__(self, stream: Stream, *, muxer: str, options: Mapping[str, str] | None = None) -> None:
        """`stream`: the source's track. `muxer`, `options`: those of the output."""
        self._template, self._muxer, self._options = stream, muxer, dict(options or {})
        self._open()

    def _open(self) -> None:
        self._container = av.open(_Nothing(), "w", format=self._muxer, container_options=self._options)
        self._stream = self._container.add_stream_from_template(self._template, opaque=True)

    def accepts(self, packet: AnyPacket) -> bool:
        """Whether the muxer takes the next packet of the track; its times are rounded as the muxer does."""
        packet.stream = self._stream
        try:
            self._container.mux_one(packet)
        except av.error.FFmpegError:
            self.close()
            self._open()  # a muxer whose bitstream filter has failed crashes at the next packet
            return False
        return True

    def close(self) -> None:
        """Release the muxer."""
        with contextlib.suppress(av.error.FFmpegError, RuntimeError):  # nothing was to be written
            self._container.close()


class _Nothing(io.RawIOBase):
    """A file that forgets what is written: seekable, as Matroska refuses AAC without a header elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self._position = self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position
