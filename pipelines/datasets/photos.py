"""Source images of the datasets: clean photos and video frames, split into train, validation and test."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from deepclarity.errors import SourceError
from deepclarity.models.verdict import Bytes
from deepclarity.pipelines.detect_file import VIDEOS
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.files.still import IMAGE_SUFFIXES

from .degrade import Photo, read_photo

_TURNS = 20
_TEST, _VALIDATION = (0, 7, 14), (1, 8, 15)
"""Of every twenty files in name order, three are for testing and three for validation."""
_CANDIDATES = 3
_DETAIL = 1.5
"""Mean difference of neighbours, in levels, below which a picture has too little content."""
_TRIES = 4
_STILLS_EVERY, _STILLS = 12, 4
_CLIP_SHARE = 0.15

_log = logging.getLogger(__name__)


class Split(StrEnum):
    """Purpose of a picture."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def part_of(files: Sequence[Path], split: Split) -> tuple[Path, ...]:
    """The files of one split: 14, 3 and 3 of every twenty in name order."""
    chosen = {Split.TEST: _TEST, Split.VALIDATION: _VALIDATION}
    apart = {turn: kind for kind, turns in chosen.items() for turn in turns}
    ordered = sorted(files, key=lambda path: path.name)
    return tuple(path for turn, path in enumerate(ordered) if apart.get(turn % _TURNS, Split.TRAIN) is split)


def find_source_images(data: Path, split: Split, *, keep: int = 48) -> SourceImages:
    """One split of the photos in `data` or `data/train_photos` and, if there are any, of the videos in `data/clips`.

    `keep`: number of photos kept in memory. Raises SourceError if there are too few for every split.
    """
    folder = data / "train_photos" if (data / "train_photos").is_dir() else data
    if not folder.is_dir():
        raise SourceError(f"{data}: no such folder. Name a folder of photos by --data.")
    photos = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    if len(photos) < 3:
        raise SourceError(f"{folder}: {len(photos)} photos; at least 3 are needed, one per split. Name another folder.")
    beside = data / "clips"
    around = beside.iterdir() if beside.is_dir() else ()
    clips = [path for path in around if path.suffix.lower() in VIDEOS and path.is_file()]
    return SourceImages(part_of(photos, split), part_of(clips, split), split, keep=keep)


class SourceImages:
    """Photos and clips of one split, read on demand."""

    def __init__(self, photos: Sequence[Path], clips: Sequence[Path], split: Split, *, keep: int = 48) -> None:
        """`keep`: number of photos kept in memory."""
        self.photos, self.clips, self.split = tuple(photos), tuple(clips), split
        self._read = lru_cache(maxsize=keep)(read_photo)
        self._stills = lru_cache(maxsize=None)(_stills_of)

    def canvas(self, rng: np.random.Generator, width: int, height: int) -> Photo:
        """A photo or a crop of one: luma (height, width), sides made even.

        Pictures are reduced or mirrored at their edges, never enlarged, so that they keep their sharpness.
        """
        return self._canvas(rng, width, height, clips=False)

    def informative_canvas(self, rng: np.random.Generator, width: int, height: int) -> Photo:
        """Like `photo`, possibly from a clip's frame, and with visible content if possible: no plain sky."""
        for _ in range(_TRIES):
            found = self._canvas(rng, width, height, clips=True)
            if float(cv2.absdiff(found[0][:, 1:], found[0][:, :-1]).mean()) >= _DETAIL:
                break
        return found

    def _canvas(self, rng: np.random.Generator, width: int, height: int, *, clips: bool) -> Photo:
        width, height = width + width % 2, height + height % 2
        found = self._candidates(rng, clips=clips)
        chosen = max(found, key=lambda photo: _covered(photo, width, height))
        limit = min(chosen[0].shape[1] / width, chosen[0].shape[0] / height)
        if limit > 1.05:  # mostly as much of the scene as possible
            chosen = _reduced(chosen, limit ** float(rng.random() ** 0.5))
        return _window(chosen, width, height, rng)

    def still(self, rng: np.random.Generator) -> Photo | None:
        """A complete frame of a clip, unmodified; None if no clip can be used."""
        if not self.clips:
            return None
        stills = self._stills(self.clips[int(rng.integers(len(self.clips)))])
        return stills[int(rng.integers(len(stills)))] if stills else None

    def _candidates(self, rng: np.random.Generator, *, clips: bool) -> list[Photo]:
        if clips and rng.random() < _CLIP_SHARE and (still := self.still(rng)) is not None:
            return [still]
        return [self._read(self.photos[int(i)]) for i in rng.integers(0, len(self.photos), _CANDIDATES)]


def resized(photo: Photo, width: int, height: int, how: int) -> Photo:
    """`photo` at an even size by one of OpenCV's interpolations."""
    sizes = ((width, height), (width // 2, height // 2), (width // 2, height // 2))
    luma, blue, red = (cv2.resize(p, size, interpolation=how) for p, size in zip(photo, sizes, strict=True))
    return cast(Photo, (luma, blue, red))


def part(photo: Photo, left: int, top: int, width: int, height: int) -> Photo:
    """A view of a rectangle; all values even, in luma samples."""
    luma, blue, red = photo
    half = slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2)
    return luma[top : top + height, left : left + width], blue[half], red[half]


def _covered(photo: Photo, width: int, height: int) -> float:
    """The share of the requested size that `photo` fills without mirroring."""
    high, wide = (int(side) for side in photo[0].shape)
    return min(1.0, wide / width) * min(1.0, high / height)


def _reduced(photo: Photo, factor: float) -> Photo:
    height, width = (ceil(side / factor / 2) * 2 for side in photo[0].shape)
    return resized(photo, width, height, cv2.INTER_AREA)


def _window(photo: Photo, width: int, height: int, rng: np.random.Generator) -> Photo:
    """A random even position in `photo`, which is mirrored to the right and below if it is too small."""
    have_h, have_w = photo[0].shape
    if have_w < width or have_h < height:
        wide, high = max(width, have_w), max(height, have_h)
        grown = [_mirrored(plane, wide // ratio, high // ratio) for plane, ratio in zip(photo, (1, 2, 2), strict=True)]
        photo, have_w, have_h = (grown[0], grown[1], grown[2]), wide, high
    left, top = (int(rng.integers(0, (have - want) // 2 + 1)) * 2 for have, want in ((have_w, width), (have_h, height)))
    return part(photo, left, top, width, height)


def _mirrored(plane: Bytes, width: int, height: int) -> Bytes:
    pad = (0, height - plane.shape[0], 0, width - plane.shape[1])
    return cast(Bytes, cv2.copyMakeBorder(plane, *pad, cv2.BORDER_REFLECT))


def _stills_of(path: Path) -> list[Photo]:
    """Up to four frames from about the first two seconds; none, with a log message, if the clip cannot be used."""
    stills: list[Photo] = []
    try:
        with FileSource(path) as source:
            if source.pixel_format not in ("yuv420p", "yuvj420p"):
                raise SourceError(f"{path}: {source.info.pixel_format} pictures; only 8-bit 4:2:0 is used.")
            for frame in source:
                if frame.index % _STILLS_EVERY == 0:
                    height, width = (side // 2 * 2 for side in frame.luma.shape)
                    luma, blue, red = part(cast(Photo, frame.planes), 0, 0, width, height)
                    stills.append((luma.copy(), blue.copy(), red.copy()))
                if len(stills) == _STILLS:
                    break
    except SourceError as error:
        _log.warning("skipped: %s", error)
    return stills
