"""Transparency of videos: opacity is kept beside the colours, resized with them, and never goes through a network."""

from __future__ import annotations

import av
import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from .frame import Frame, Plane
from .info import VideoInfo

KEPT = {"prores_ks": "yuv444p10le", "libvpx-vp9": "yuv420p"}
"""Encoders that keep opacity, and the planar format of the colours beside it."""


def has_alpha(form: VideoFormat) -> bool:
    """Whether pictures of this format have a plane of opacity."""
    name = form.name
    return "yuva" in name or "gbrap" in name or name.startswith(("rgba", "bgra", "argb", "abgr", "ya8", "ya16"))


def keeps_alpha(info: VideoInfo, encoder: str | None) -> bool:
    """Whether a video has opacity that `encoder` (FFmpeg's name) keeps."""
    return info.transparent and encoder in KEPT


def with_alpha(name: str) -> str:
    """The planar format `name` with a plane of opacity: `yuv420p` → `yuva420p`."""
    return name.replace("yuv", "yuva", 1)


def alpha_of(picture: VideoFrame, *, deep: bool) -> Plane | None:
    """The opacity of a decoded picture, (height, width): uint8, or `deep`: uint16 of 10 bits; None if it has none."""
    if not has_alpha(picture.format):
        return None
    name = "yuva444p10le" if deep else "yuva444p"
    if picture.format.name not in (name, *(("yuva420p", "yuva422p") if not deep else ("yuva420p10le", "yuva422p10le"))):
        picture = picture.reformat(format=name)
    plane = picture.planes[3]
    samples = np.frombuffer(memoryview(plane), np.uint16 if deep else np.uint8)
    rows = samples.reshape(plane.height, plane.line_size // samples.itemsize)[:, : plane.width]
    return rows.copy()  # type: ignore[return-value]


def alpha_at_size(frame: Frame) -> Plane | None:
    """The opacity of a frame at the size of its colours; None if it has none."""
    alpha, size = frame.alpha, frame.size
    if alpha is None or alpha.shape == size[::-1]:
        return alpha
    shrinks = size[0] < alpha.shape[1] or size[1] < alpha.shape[0]
    return cv2.resize(alpha, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]


def picture_with_alpha(frame: Frame, name: str) -> VideoFrame:
    """A new picture of a frame in planar format `name` with opacity; a frame without one is opaque."""
    alpha = alpha_at_size(frame)
    if alpha is None:
        alpha = np.full(frame.planes[0].shape, frame.max_value, frame.planes[0].dtype)
    assert alpha is not None
    height, width = frame.planes[0].shape
    picture = av.VideoFrame(width, height, with_alpha(name))
    for plane, samples in zip(picture.planes, (*frame.planes, alpha), strict=True):
        rows = np.frombuffer(memoryview(plane), samples.dtype).reshape(
            plane.height, plane.line_size // samples.itemsize
        )
        rows[:, : plane.width] = samples
    return picture
