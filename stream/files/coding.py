"""Reads the quantisers that FFmpeg exports with a decoded picture (`AVVideoEncParams`)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, cast

import numpy as np
from av.sidedata.encparams import VideoEncParams
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from deepclarity.stream.coding import QP_RANGE, Coding

from .reading.side_data import side_data_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

EXPORTING = frozenset({"h264", "mpeg2video", "mpeg4", "vp9"})
"""Decoders that export quantisers."""

_HEADER = struct.Struct("=I4xQQ4xi")
"""`AVVideoEncParams`: number of blocks, where they begin, bytes a block; then, after the type, the frame's quantiser. A
block is x, y, width, height and the difference to that, each an int32; in most codecs a macroblock, row by row."""
_STEP_AT_QP_0 = 0.625
"""H.264's quantiser step at QP 0, in units of an orthonormal transform."""
_NO_LOOP_FILTER = 5.0
"""Added for codecs without a loop filter: at equal steps, their block edges are as visible as H.264's at this much
more."""
_STEP_PER_SCALE = {"mpeg2video": 0.55, "mpeg4": 1.0}
"""Step per unit of the exported value, twice the quantiser scale: ISO/IEC 13818-2, 7.4.2 with a mean matrix weight
of 17.6, and ISO/IEC 14496-2, 7.4.4."""
_VP9_STEP_AT_0, _VP9_DOUBLINGS = 0.5, 8.8
"""VP9's table of AC steps is close to exponential over its index of 0 to 255."""


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
        return Coding(codec, float(_on_h264_scale(np.array([frame_qp], np.float32), codec)[0]))
    fields = np.frombuffer(payload, np.int32, count * size // 4, offset).reshape(count, size // 4)
    rows, changes = fields[:, 1], fields[:, 4]
    columns = int(np.searchsorted(rows, rows[0], side="right"))
    exported = (frame_qp + changes).astype(np.float32)
    known = exported > 0
    if 2 * np.count_nonzero(known) < count:
        if codec != "h264" or (last is not None and frame_qp > 0):
            return last
        return Coding(codec, float(np.clip(frame_qp, *QP_RANGE)))  # 0 in lossless pictures
    qp = _on_h264_scale(exported, codec)
    areas = fields[:, 2] * fields[:, 3] * known
    regular = count % columns == 0 and bool((areas == areas[0]).all())
    return Coding(codec, float(np.average(qp, weights=areas)), qp.reshape(-1, columns) if regular else None)


def _on_h264_scale(exported: NDArray[np.float32], codec: str) -> NDArray[np.float32]:
    """Quantisers as exported for `codec` to those of H.264 with the same step."""
    if codec == "h264":
        qp = exported
    else:
        if codec == "vp9":
            step, extra = _VP9_STEP_AT_0 * np.exp2(exported * (_VP9_DOUBLINGS / 255)), 0.0
        else:
            step, extra = np.maximum(exported, 1) * _STEP_PER_SCALE[codec], _NO_LOOP_FILTER
        qp = 6 * np.log2(step / _STEP_AT_QP_0) + extra
    clipped: NDArray[np.float32] = np.clip(qp, *QP_RANGE).astype(np.float32)
    return clipped
