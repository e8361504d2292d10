"""How coarsely a picture was coded: value types for the quantiser that a decoder reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QP_RANGE = (0.0, 51.0)
"""The scale of H.264 and HEVC (ITU-T H.264, 8.5.9): six steps double the step size of a coefficient."""

_STEP_AT_QP_0 = 0.625
"""H.264's quantiser step at QP 0, in units of an orthonormal transform."""
_NO_LOOP_FILTER = 5.0
"""Added for codecs without a loop filter: at equal steps, their block edges are as visible as H.264's at this much
more."""
_STEP_PER_SCALE = {"mpeg2video": 0.55, "mpeg4": 1.0}
"""Step per unit of the exported value, twice the quantiser scale: ISO/IEC 13818-2, 7.4.2 with a mean matrix weight
of 17.6, and ISO/IEC 14496-2, 7.4.4."""
_VP9_STEP_AT_0, _VP9_DOUBLINGS = 0.5, 8.8
"""VP9's and AV1's table of AC steps is close to exponential over its index of 0 to 255."""


@dataclass(frozen=True, slots=True)
class Coding:
    """The quantiser of one picture, on H.264's scale whatever the codec.

    It describes the last coding only: a picture that was coded coarsely before and finely since has a low quantiser.
    """

    codec: str
    """FFmpeg's name of the decoder, `h264`, `mpeg2video`, `mpeg4` or `vp9`, or of the codec whose packets are read,
    `hevc` or `av1`."""
    qp: float
    """Mean quantiser, in `QP_RANGE`. Codecs without a loop filter count as coarser: their blocks stay visible."""
    qp_map: NDArray[np.float32] | None = None
    """The quantiser of each macroblock, (rows, columns), in `QP_RANGE`; None if the decoder reports no blocks."""


def on_h264_scale(exported: NDArray[np.float32], codec: str) -> NDArray[np.float32]:
    """Quantisers of `codec`, as FFmpeg exports them, as those of H.264 with the same step.

    `codec`: `h264`, `hevc`, `mpeg2video`, `mpeg4`, `vp9` or `av1`, whose exported values are 0 to 51 for the first two,
    twice the quantiser scale for the MPEG codecs, and 0 to 255 for the last two.
    """
    if codec in ("h264", "hevc"):
        qp = exported
    else:
        if codec in ("vp9", "av1"):
            step, extra = _VP9_STEP_AT_0 * np.exp2(exported * (_VP9_DOUBLINGS / 255)), 0.0
        else:
            step, extra = np.maximum(exported, 1) * _STEP_PER_SCALE[codec], _NO_LOOP_FILTER
        qp = 6 * np.log2(step / _STEP_AT_QP_0) + extra
    clipped: NDArray[np.float32] = np.clip(qp, *QP_RANGE).astype(np.float32)
    return clipped
