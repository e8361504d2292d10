"""Full HD frames for the detector benchmark: clean, in blocks, and both after H.264."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np

from deepclarity.pipelines.datasets.degrade import Photo, planes_of
from deepclarity.pipelines.datasets.detector_dataset import FULL_HD, PUBLISHED_FACTORS, DetectorDataset, Protocol
from deepclarity.pipelines.datasets.photos import Split, find_source_images
from deepclarity.pipelines.datasets.synthetic import cartoon, facade, screen
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.stream.files.recode import recode

FACTORS = 1.5, 2.0, 3.0, 4.0
"""Block sizes, one per frame."""
CRF = 23

Shots = list[tuple[str, Photo]]
"""The kind of each frame, and its planes: 4:2:0, uint8."""


def full_hd_frames(data: Path | None) -> Shots:
    """Four rounds of clean, in blocks, and both after H.264: test photos of `data`, else drawings."""
    shots: Shots = []
    for clean, blocks in photographed(data) if data else drawn():
        shots += [("clean", clean), ("pixelated", blocks)]
        shots += [("after H.264", cast(Photo, recode([frame], codec="h264", crf=CRF)[0])) for frame in (clean, blocks)]
    return shots


def photographed(data: Path) -> Iterator[tuple[Photo, Photo]]:
    """Pictures of the published protocol, from photos that no detector was trained on."""
    samples = DetectorDataset(find_source_images(data, Split.TEST), protocol=Protocol.PUBLISHED)
    for factor in FACTORS:
        index = 2 * PUBLISHED_FACTORS.index(factor)
        yield samples.at(index + 1).planes, samples.at(index).planes


def drawn() -> Iterator[tuple[Photo, Photo]]:
    """Views of two harbours, cartoons, a desktop and a facade; none is used twice."""
    rng = np.random.default_rng(0)
    harbours = [view[..., ::-1] for seed in (7, 8) for view in pan(paint(seed=seed), count=2)]
    clean = *harbours[::2], cartoon(rng, *FULL_HD), screen(rng, *FULL_HD)
    small = *harbours[1::2], cartoon(rng, *FULL_HD), facade(rng, *FULL_HD)
    for one, other, factor in zip(clean, small, FACTORS, strict=True):
        yield (
            planes_of(np.ascontiguousarray(one)),
            planes_of(pixelate(np.ascontiguousarray(other), block_px=factor)),
        )
