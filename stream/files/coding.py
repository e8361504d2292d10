"""Reads the quantisers that FFmpeg exports with a decoded picture (`AVVideoEncParams`)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

import numpy as np
from av.sidedata.encparams import VideoEncParams
from av.video.frame import VideoFrame

from deepclarity.stream.coding import QP_RANGE, Coding, on_h264_scale

from .reading.side_data import side_data_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

EXPORTING = frozenset({"h264", "mpeg2video", "mpeg4", "vp9"})
"""Decoders that export quantisers."""

_HEADER = struct.Struct("=I4xQQ4xi")
"""`AVVideoEncParams`: number of blocks, where they begin, bytes a block; then, after the type, the frame's quantiser. A
block is x, y, width, height and the difference to that, each an int32; in most codecs a macroblock, row by row."""


def coding_of(picture: VideoFrame, codec: str, last: Coding | None = None) -> Coding | None:
    """The quantisers of a decoded picture; `last`, those of the one before, where the decoder reports none."""
    if codec not in EXPORTING:
        return last
    for data in side_data_of(picture):
        if isinstance(data, VideoEncParams):
            # PyAV's own `qp_map` loops over the blocks in Python: milliseconds at Full HD.
            return coding_from(bytes(cast("Buffer", data)), codec, last)
    return last


def coding_from(payload: bytes, codec: str, last: Coding | None = None) -> Coding | None:
    """The quantisers in FFmpeg's `AVVideoEncParams`.

    With frame threads FFmpeg may export a picture while another thread still decodes it: blocks that are not done have
    the quantiser 0, and do not count. If most are not done, the quantisers are `last`, or the one that H.264 states for
    the entire picture; None without either.
    """
    count, offset, size, frame_qp = _HEADER.unpack_from(payload)
    if not count:  # one quantiser for the entire picture
        return Coding(codec, float(on_h264_scale(np.array([frame_qp], np.float32), codec)[0]))
    fields = np.frombuffer(payload, np.int32, count * size // 4, offset).reshape(count, size // 4)
    rows, changes = fields[:, 1], fields[:, 4]
    columns = int(np.searchsorted(rows, rows[0], side="right"))
    exported = (frame_qp + changes).astype(np.float32)
    known = exported > 0
    if 2 * np.count_nonzero(known) < count:
        if codec != "h264" or (last is not None and frame_qp > 0):
            return last
        return Coding(codec, float(np.clip(frame_qp, *QP_RANGE)))  # 0 in lossless pictures
    qp = on_h264_scale(exported, codec)
    areas = fields[:, 2] * fields[:, 3] * known
    regular = count % columns == 0 and bool((areas == areas[0]).all())
    return Coding(codec, float(np.average(qp, weights=areas)), qp.reshape(-1, columns) if regular else None)
