"""Dataset of labelled pictures for detectors, generated from clean photos and clips.

The same seed, split and index give the same picture, wherever the same libraries are. Pictures come in turn,
one that is pixelated and one that is not; factors, codecs and classes are gone through evenly, the rest is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from deepclarity.models.verdict import Blocks, Kind

from .augment import CODECS, Augmented, Plan, Region, augmented, coded, plan
from .degrade import Photo
from .negatives import natural, negatives
from .photos import SourceImages, Split
from .positives import FACTORS, clean_blocks, partly_pixelated, pixelated

PUBLISHED_FACTORS = (1.5, 2.0, 2.5, 3.0, 4.0)
FULL_HD = 1920, 1080

# fmt: off
SIZES = {
    (426, 240): 2, (640, 360): 3, (854, 480): 3, (1280, 720): 3, (1920, 1080): 4, (2560, 1440): 1, (3840, 2160): 1,
    (360, 640): 1, (720, 1280): 1, (1080, 1920): 1, (641, 359): 1, (853, 481): 1, (1365, 767): 1, (642, 642): 1,
}
# fmt: on
"""(width, height) and how often it is drawn."""

_PARTIAL = 0.15


class Protocol(StrEnum):
    """Which pictures are made."""

    PUBLISHED = "published"
    """Full HD: photos enlarged by 1.5 to 4 from the corner on, and photos as they are, half and half."""
    VIDEO = "video"
    """Any size, factor, phase, codec and degradation, and every kind of picture that might be taken for blocks."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and the truth about it."""

    planes: Photo
    """Y' (height, width), Cb and Cr (half of it, rounded up), uint8, 4:2:0, studio range."""
    kind: Kind
    blocks: Blocks | None
    """The true lattice, in pixels of the entire picture; also of pixel art and of a mosaic."""
    region: Region | None
    """(left, top, width, height) where only that part has the blocks; None: all of it."""
    cell: Mapping[str, str]
    """What describes it: class, factor, phase, codec, quality, level, size, extras, …"""

    @property
    def pixelated(self) -> bool:
        """Whether a detector ought to ask for repair."""
        return self.kind is Kind.PIXELATED


class DetectorDataset:
    """The pictures of one protocol, by index from 0, as many as anybody asks for."""

    def __init__(
        self, source_images: SourceImages, *, protocol: Protocol, seed: int = 0, pixel_art_counts: bool = False
    ) -> None:
        """`pixel_art_counts`: whether pixel art is to be called pixelated."""
        self._source_images, self._protocol = source_images, protocol
        self._start = [seed, list(Split).index(source_images.split), list(Protocol).index(protocol)]
        self._negatives = negatives(pixel_art_counts=pixel_art_counts)

    def at(self, index: int) -> Sample:
        """The picture of this index, the same one each time."""
        rng = np.random.default_rng([*self._start, index])
        wanted, take = (self._published if self._protocol is Protocol.PUBLISHED else self._video)(index, rng)
        take = augmented(take, wanted, rng)
        photo, words = coded(take, wanted, rng)
        height, width = photo[0].shape
        cell = {**take.cell, **words, "size": f"{width}x{height}", "extras": "+".join(take.extras) or "none"}
        return Sample(photo, take.kind, take.blocks, take.region, cell)

    def first(self, count: int) -> Iterator[Sample]:
        """The pictures 0 to `count` - 1."""
        return map(self.at, range(count))

    def _published(self, index: int, rng: np.random.Generator) -> tuple[Plan, Augmented]:
        wanted, turn = Plan(FULL_HD, augmented=False), index // 2
        if index % 2:
            return wanted, natural(self._source_images, wanted, rng)
        factor = PUBLISHED_FACTORS[turn % len(PUBLISHED_FACTORS)]
        return wanted, clean_blocks(self._source_images, wanted, factor, rng)

    def _video(self, index: int, rng: np.random.Generator) -> tuple[Plan, Augmented]:
        turn = index // 2
        rounds, turn_of_round = divmod(turn, len(FACTORS))
        codec = CODECS[(turn_of_round + rounds) % len(CODECS)]  # so that every factor meets every codec
        sizes, shares = list(SIZES), np.array(list(SIZES.values()), np.float64)
        wanted = plan(rng, sizes[int(rng.choice(len(sizes), p=shares / shares.sum()))], codec)
        if index % 2:
            return wanted, self._negatives[turn % len(self._negatives)](self._source_images, wanted, rng)
        make = partly_pixelated if rng.random() < _PARTIAL else pixelated
        return wanted, make(self._source_images, wanted, FACTORS[turn % len(FACTORS)], rng)
