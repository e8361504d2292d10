"""What a decoded video has beside its samples and colours that the output will not have."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from deepclarity.stream.transparency import has_alpha
from deepclarity.stream.user_data.messages import UserDataKind

from .decoder import has_alpha_track
from .side_data import kind_of, side_data_of

TRANSPARENCY = "transparency"

_SIDE_DATA = {
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "the ambient viewing environment of HDR",
    "S12M_TIMECODE": "timecodes of single frames",
    "STEREO3D": "the arrangement of a stereo picture",
    "SPHERICAL": "the projection of a 360-degree video",
    "ICC_PROFILE": "the colour profile",
    "EXIF": "EXIF metadata of the pictures",
    "LCEVC": "the enhancement layer (LCEVC)",
    "REFERENCE_DISPLAYS_3D": "the displays that a spatial video is made for",
}
_USER_DATA = {"DYNAMIC_HDR_PLUS": UserDataKind.HDR10_PLUS, "DYNAMIC_HDR_VIVID": UserDataKind.HDR_VIVID}
"""Side data that FFmpeg makes of user data."""


def extras_of(picture: VideoFrame, user_data: Container[UserDataKind] = ()) -> Iterator[str]:
    """A description of each kind of side data of a picture that the output will lack.

    `user_data`: kinds that were found in packets, and are carried on; FFmpeg finds some elsewhere in the container.
    """
    for data in side_data_of(picture):
        kind = kind_of(data)
        if kind in _SIDE_DATA:
            yield _SIDE_DATA[kind]
        elif kind in _USER_DATA:
            if _USER_DATA[kind] not in user_data:
                yield _USER_DATA[kind].value
        elif kind.startswith("KIND_"):
            yield f"side data of a kind that is not known here ({kind.removeprefix('KIND_')})"


def extras_of_track(stream: VideoStream, picture: VideoFrame) -> Iterator[str]:
    """The same of an entire track; `picture`: its first."""
    if has_alpha_track(stream) or has_alpha(picture.format):
        yield TRANSPARENCY
    if stream.disposition & Disposition.multilayer:
        yield "the second view of a spatial video"
    if (stream.codec_context.codec_tag or "")[:4] in ("dvhe", "dvh1", "dvav", "dva1", "dav1"):
        yield "Dolby Vision metadata"


def display_matrix(picture: VideoFrame) -> tuple[int, ...] | None:
    """The display matrix (ISO/IEC 14496-12) of a picture, nine 16.16 fixed-point numbers; None if it is upright."""
    for data in side_data_of(picture):
        if data.type == Type.DISPLAYMATRIX:
            return tuple(np.frombuffer(bytes(data), np.int32).tolist())
    return None
