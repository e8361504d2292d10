"""How coarsely a picture was coded: value types for the quantiser that a decoder reports."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QP_RANGE = (0.0, 51.0)
"""The scale of H.264 and HEVC (ITU-T H.264, 8.5.9): six steps double the step size of a coefficient."""


@dataclass(frozen=True, slots=True)
class Coding:
    """The quantiser of one picture, on H.264's scale whatever the codec.

    It describes the last coding only: a picture that was coded coarsely before and finely since has a low quantiser.
    """

    codec: str
    """FFmpeg's name of the decoder: `h264`, `mpeg2video`, `mpeg4`, `vp9`."""
    qp: float
    """Mean quantiser, in `QP_RANGE`. Codecs without a loop filter count as coarser: their blocks stay visible."""
    qp_map: NDArray[np.float32] | None = None
    """The quantiser of each macroblock, (rows, columns), in `QP_RANGE`; None if the decoder reports no blocks."""
