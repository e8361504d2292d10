"""Makes frames of decoded pictures: their times, damage, quantisers and user data, the same for files and pipes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import av
from av.video.frame import VideoFrame

from deepclarity.stream import planes
from deepclarity.stream.damage import DamageTracker
from deepclarity.stream.files.coding import coding_of
from deepclarity.stream.files.timestamps import MonotonicTimestamps
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import VideoInfo
from deepclarity.stream.interlaced.deinterlace import Deinterlacer
from deepclarity.stream.interlaced.modes import Deinterlacing
from deepclarity.stream.interlaced.picture import TimedPicture
from deepclarity.stream.transparency import alpha_of
from deepclarity.stream.user_data.messages import CARRIED, UserDataKind, kind_of

from .best_effort import BestEffortTimestamps
from .extras import extras_of
from .packet_content import PacketContent
from .side_data import user_data_of

_EXTRAS_FIRST, _EXTRAS_EVERY = 50, 25
"""Pictures of which all side data are looked at: the first ones, and then some."""


class PictureTimes:
    """Assigns strictly increasing presentation times to pictures."""

    def __init__(self, info: VideoInfo, *, decoding_order_only: bool) -> None:
        """`decoding_order_only`: see `BestEffortTimestamps`."""
        rate = info.rate or Fraction(25)
        step = max(1, round(1 / (rate * info.time_base)))
        self._step = step
        self._timestamps = MonotonicTimestamps(step=step)
        self._best_effort = BestEffortTimestamps(step=step, decoding_order_only=decoding_order_only)

    @property
    def moved(self) -> int:
        """Times corrected so far."""
        return self._timestamps.moved

    def assign(self, picture: VideoFrame) -> int:
        """The time of the next picture, in ticks of its track."""
        pts = self._best_effort.of(picture)
        if pts is None:  # raw streams have no timestamps: use the nominal rate
            last = self._timestamps.last
            pts = 0 if last is None else last + self._step
        return self._timestamps.place(pts)


class TimedPictures:
    """What is known of decoded pictures beside their samples: an iterator of `TimedPicture`."""

    def __init__(
        self,
        pictures: Iterator[tuple[VideoFrame, PacketContent]],
        info: VideoInfo,
        *,
        codec: str,
        damage: DamageTracker,
        decoding_order_only: bool = False,
    ) -> None:
        """`pictures`: each with what its packet says of it; `codec`: FFmpeg's name of the decoder."""
        self._pictures = pictures
        self._times = PictureTimes(info, decoding_order_only=decoding_order_only)
        self._codec, self._damage = codec, damage
        self._extras: dict[str, None] = {}
        self._user_data: dict[UserDataKind, None] = {}

    @property
    def retimed(self) -> int:
        """Pictures whose timestamp did not increase and was corrected."""
        return self._times.moved

    def lost(self, encoder: str | None) -> list[str]:
        """What the pictures so far have that `encoder` (FFmpeg's name) cannot keep; None: they are not encoded."""
        carried = CARRIED.get(av.Codec(encoder, "w").canonical_name, frozenset()) if encoder else frozenset()
        return [*self._extras, *(kind.value for kind in self._user_data if kind not in carried)]

    def __iter__(self) -> Iterator[TimedPicture]:
        coding = None
        for index, (picture, content) in enumerate(self._pictures):
            pts = self._times.assign(picture)
            user_data = user_data_of(picture, content.user_data)
            self._user_data.update(dict.fromkeys(kind for each in user_data if (kind := kind_of(each))))
            if index < _EXTRAS_FIRST or index % _EXTRAS_EVERY == 0:
                self._extras.update(dict.fromkeys(extras_of(picture, self._user_data)))
            intact = self._damage.is_intact(key=picture.key_frame, corrupt=picture.is_corrupt)
            coding = content.coding or coding_of(picture, self._codec, coding)
            yield TimedPicture(picture, pts, picture.duration or 0, intact, coding, user_data=user_data)


def deinterlaced(
    timed: Iterator[TimedPicture], setting: Deinterlacing, info: VideoInfo
) -> tuple[Deinterlacer, VideoInfo]:
    """What deinterlaces the pictures of a video, and the properties of the result."""
    deinterlacer = Deinterlacer(timed, setting, rate=info.rate, time_base=info.time_base)
    rate, frames = deinterlacer.rate, info.frames
    if rate and info.rate and frames:
        frames = round(frames * rate / info.rate)
    keeps = info.interlaced and setting.keep_pictures
    return deinterlacer, replace(info, time_base=deinterlacer.time_base, rate=rate, frames=frames, interlaced=keeps)


def frame_of(
    timed: TimedPicture, *, index: int, info: VideoInfo, pixel_format: str, transparent: bool = False
) -> Frame:
    """A frame of a picture, in planar format `pixel_format`; `transparent`: with its opacity."""
    picture = planes.to_planar(timed.picture, pixel_format)
    return Frame(
        planes=planes.planes_of(picture),
        index=index,
        pts=timed.pts,
        time_base=info.time_base,
        duration=timed.duration,
        depth=planes.depth_of(pixel_format),
        subsampling=planes.subsampling_of(pixel_format),
        full_range=info.colour.range == 2,
        picture=picture if timed.original is None else planes.to_planar(timed.original, pixel_format),
        intact=timed.intact,
        coding=timed.coding,
        deinterlaced=timed.deinterlaced is not None,
        field_order=timed.order,
        user_data=timed.user_data,
        alpha=alpha_of(timed.picture, deep=planes.depth_of(pixel_format) > 8) if transparent else None,
    )
