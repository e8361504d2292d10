"""The quantiser that a packet of HEVC or AV1 states, on H.264's scale of visible damage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from deepclarity.stream.coding import Coding, on_h264_scale

from .av1 import Av1Quantisers
from .hevc import HevcQuantisers

QuantiserReader = Callable[[bytes], Coding | None]
"""Reads the quantiser of the picture in a packet; packets are given in the order in which they come. None if the packet
holds no picture that is shown, or one whose header cannot be read."""

_LESS_VISIBLE = {"hevc": 4.0, "av1": 2.0}
"""Taken off: larger transforms, stronger filters and long chains of prediction hide more than H.264's at equal steps.
Measured by what a repair gains at each quantiser."""

_READERS: dict[str, type[HevcQuantisers] | type[Av1Quantisers]] = {"hevc": HevcQuantisers, "av1": Av1Quantisers}


def quantiser_reader(codec: str, extradata: bytes | None) -> QuantiserReader | None:
    """A reader for a track; None for codecs that it does not know.

    `codec`: FFmpeg's name of the codec (not of a decoder): `hevc`, `av1`, …; `extradata`: of the track.
    """
    if codec not in _READERS:
        return None
    quantisers = _READERS[codec](extradata)

    def read(packet: bytes) -> Coding | None:
        found = quantisers.quantiser_of(packet)
        if found is None:
            return None
        qp = float(on_h264_scale(np.array([found], np.float32), codec)[0])
        return Coding(codec, max(0.0, qp - _LESS_VISIBLE[codec]))

    return read
