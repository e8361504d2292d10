"""Decides whether packets of a file may be copied to the output at all, and says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.info import VideoInfo

from .encoder import SegmentEncoder
from .errors import CopyError
from .h264 import AvcConfig
from .reader import SegmentReader
from .splice import Splicer
from .syntax import H264Syntax


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """The source, and the output that its packets are to be copied to."""

    path: Path
    stream_index: int
    info: VideoInfo
    size: tuple[int, int]
    """(width, height) of the output in pixels."""
    pixel_format: str
    """Planar format of the frames that are encoded."""
    settings: EncodeSettings
    demuxer: str | None = None
    """See `open_input`."""


def open_splicer(request: CopyRequest) -> Splicer:
    """Make the writer of a track that copies packets where it can; CopyError, with the reason, if it never can."""
    source = request.info.width_px, request.info.height_px
    if request.size != source:
        raise CopyError(f"the size changes from {source[0]}x{source[1]} to {request.size[0]}x{request.size[1]}")
    reader = SegmentReader(request.path, stream_index=request.stream_index, demuxer=request.demuxer)
    try:
        _check_codec(reader, request)
        encoder = None
        if isinstance(reader.syntax, H264Syntax):
            _check_parameters(reader.syntax.config)
            encoder = SegmentEncoder(
                request.settings,
                request.info,
                size=request.size,
                pixel_format=request.pixel_format,
                source=reader.syntax.config,
            )
        return Splicer(reader, encoder, request.info, request.pixel_format)
    except BaseException:
        reader.close()
        raise


def _check_codec(reader: SegmentReader, request: CopyRequest) -> None:
    """CopyError if codec or samples of the output are not the source's."""
    if reader.codec != request.settings.codec:
        raise CopyError(f"the codec changes from {reader.codec} to {request.settings.codec}")
    if request.settings.hardware and reader.codec == "h264":
        raise CopyError("NVENC cannot encode beside the packets of another encoder; use --encoder software to copy")
    before, after = (name.replace("yuvj", "yuv") for name in (request.info.pixel_format, request.pixel_format))
    if before != after:
        raise CopyError(f"the pixel format changes from {before} to {after}")


def _check_parameters(config: AvcConfig) -> None:
    """CopyError if encoded segments cannot stand beside packets with these H.264 parameter sets."""
    sequences = config.sequences
    if any(not each.frames_only for each in sequences):
        raise CopyError("the video is interlaced")
    if len({(each.size_macroblocks, each.chroma_format, each.depths) for each in sequences}) > 1:
        raise CopyError("the source has sequence parameter sets of several formats")
    if config.length_bytes in (1, 2):
        raise CopyError(f"the source counts bytes of a NAL unit with {8 * config.length_bytes} bits only")
    if len(config.sps) > 30 or len(config.pps) > 254:
        raise CopyError("the source has too many parameter sets")
