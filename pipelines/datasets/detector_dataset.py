"""Dataset of labelled pictures for detectors, generated from clean photos and clips.

Seed, split and index determine a picture, given the same library versions. Pixelated and clean pictures alternate;
factors, codecs and classes are cycled through evenly, everything else is drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from deepclarity.models.verdict import Blocks, Kind

from .augment import CODECS, Augmented, Plan, Region, augmented, coded, plan
from .degrade import Photo
from .negatives import natural, negatives
from .photos import SourceImages, Split
from .positives import FACTOR_CLASSES, clean_blocks, draw_factor, partly_pixelated, pixelated

PUBLISHED_FACTORS = (1.5, 2.0, 2.5, 3.0, 4.0)
FULL_HD = 1920, 1080

# fmt: off
SIZES = {
    (426, 240): 2, (640, 360): 3, (854, 480): 3, (1280, 720): 3, (1920, 1080): 4, (2560, 1440): 1, (3840, 2160): 1,
    (360, 640): 1, (720, 1280): 1, (1080, 1920): 1, (641, 359): 1, (853, 481): 1, (1365, 767): 1, (642, 642): 1,
}
# fmt: on
"""(width, height) and its relative frequency."""

_PARTIAL = 0.15


class Protocol(StrEnum):
    """The kinds of pictures."""

    PUBLISHED = "published"
    """Full HD: half photos enlarged by 1.5 to 4 with phase 0, half unmodified photos."""
    VIDEO = "video"
    """Any size, factor, phase, codec and degradation, and every kind of picture that may be mistaken for blocks."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture and its labels."""

    planes: Photo
    """Y' (height, width), Cb and Cr (half of it, rounded up), uint8, 4:2:0, limited range."""
    kind: Kind
    blocks: Blocks | None
    """The true lattice, in pixels of the entire picture; also for pixel art and mosaics."""
    region: Region | None
    """(left, top, width, height) of the part in blocks; None: the entire picture."""
    cell: Mapping[str, str]
    """Its properties: class, factor, phase, codec, quality, level, size, extras, …"""

    @property
    def pixelated(self) -> bool:
        """Whether a detector should request repair."""
        return self.kind is Kind.PIXELATED


class DetectorDataset:
    """The pictures of one protocol, by index from 0, without end."""

    def __init__(
        self, source_images: SourceImages, *, protocol: Protocol, seed: int = 0, pixel_art_counts: bool = False
    ) -> None:
        """`pixel_art_counts`: whether pixel art is labelled as pixelated."""
        self._source_images, self._protocol = source_images, protocol
        self._start = [seed, list(Split).index(source_images.split), list(Protocol).index(protocol)]
        self._negatives = negatives(pixel_art_counts=pixel_art_counts)

    def at(self, index: int) -> Sample:
        """The picture with this index; always the same one."""
        rng = np.random.default_rng([*self._start, index])
        wanted, take = (self._published if self._protocol is Protocol.PUBLISHED else self._video)(index, rng)
        take = augmented(take, wanted, rng)
        photo, words = coded(take, wanted, rng)
        height, width = photo[0].shape
        cell = {**take.cell, **words, "size": f"{width}x{height}", "extras": "+".join(take.extras) or "none"}
        return Sample(photo, take.kind, take.blocks, take.region, cell)

    def first(self, count: int) -> Iterator[Sample]:
        """Yield the pictures 0 to `count` - 1."""
        return map(self.at, range(count))

    def _published(self, index: int, rng: np.random.Generator) -> tuple[Plan, Augmented]:
        wanted, turn = Plan(FULL_HD, augmented=False), index // 2
        if index % 2:
            return wanted, natural(self._source_images, wanted, rng)
        factor = PUBLISHED_FACTORS[turn % len(PUBLISHED_FACTORS)]
        return wanted, clean_blocks(self._source_images, wanted, factor, rng)

    def _video(self, index: int, rng: np.random.Generator) -> tuple[Plan, Augmented]:
        turn = index // 2
        rounds, turn_of_round = divmod(turn, len(FACTOR_CLASSES))
        codec = CODECS[(turn_of_round + rounds) % len(CODECS)]  # so that every factor meets every codec
        sizes, shares = list(SIZES), np.array(list(SIZES.values()), np.float64)
        wanted = plan(rng, sizes[int(rng.choice(len(sizes), p=shares / shares.sum()))], codec)
        if index % 2:
            return wanted, self._negatives[turn % len(self._negatives)](self._source_images, wanted, rng)
        make = partly_pixelated if rng.random() < _PARTIAL else pixelated
        name = FACTOR_CLASSES[turn_of_round]
        take = make(self._source_images, wanted, draw_factor(name, rng), rng)
        return wanted, replace(take, cell={**take.cell, "factor": name})
