"""Positive samples: pictures in nearest-neighbour blocks, entirely or partly, with a known lattice."""

from __future__ import annotations

from functools import lru_cache
from math import ceil, floor

import cv2
import numpy as np

from deepclarity.models.verdict import Blocks, Bytes, Kind
from deepclarity.pipelines.demo.scene import paint, pixelate
from deepclarity.pipelines.repair_plan import Starts

from .augment import Augmented, Plan, Region
from .degrade import Photo, jpeg, planes_of
from .nearest import enlarged_index
from .overlays import draw_overlays
from .photos import SourceImages, part
from .synthetic import cartoon, screen

FACTORS = (1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 16.0)
NEAR_CODEC, ANY = "near codec", "any"
FACTOR_CLASSES = (*(f"{factor:g}" for factor in FACTORS), NEAR_CODEC, ANY)
"""One factor each, a factor close to a codec's block size, and any factor."""
_CODEC_BLOCKS, _OFF_CODEC = (4, 8, 16), (0.004, 0.03)
_ANY_FACTOR = (1.5, 24.0)

DRIFT_PX = 4
"""Maximum motion over three frames, in pixels: codecs predict from frame to frame."""
_STRETCHES = (0.75, 4 / 3)
_STRETCHED, _CODED_BEFORE, _ALIASED, _WRITTEN_BEFORE = 0.06, 0.2, 0.12, 0.12
_DRAWN, _SURROUNDED = 0.16, 0.06
_THUMBNAILS = 0.5
_LEAST_LARGE = 0.45
_SMALL = (0.01, 0.1)


def draw_factor(name: str, rng: np.random.Generator) -> float:
    """A factor of one of `FACTOR_CLASSES`."""
    if name == NEAR_CODEC:
        off = float(rng.uniform(*_OFF_CODEC)) * (1 if rng.random() < 0.5 else -1)
        return float(rng.choice(_CODEC_BLOCKS)) * (1 + off)
    if name == ANY:
        return float(np.exp(rng.uniform(*np.log(_ANY_FACTOR))))
    return float(name)


def moving(canvas: Photo, width: int, height: int, count: int, rng: np.random.Generator) -> list[Photo]:
    """`count` views of `canvas`, which has a margin of `DRIFT_PX`, moving uniformly by even samples."""
    right, down = (2 * rng.integers(-1, 2, 2)).tolist()
    return [part(canvas, DRIFT_PX + right * i, DRIFT_PX + down * i, width, height) for i in range(count)]


def views(
    source_images: SourceImages, plan: Plan, rng: np.random.Generator, *, informative: bool = False
) -> list[Photo]:
    """The frames of `plan`: a sharp picture in motion."""
    width, height = plan.even
    canvas = (source_images.informative_canvas if informative else source_images.canvas)(
        rng, width + 2 * DRIFT_PX, height + 2 * DRIFT_PX
    )
    return moving(canvas, width, height, plan.frames, rng)


def pixelated(source_images: SourceImages, plan: Plan, factor: float, rng: np.random.Generator) -> Augmented:
    """A small picture enlarged by `factor`, at any phase, over the entire frame."""
    width, height = plan.even
    down = factor * _STRETCHES[int(rng.integers(2))] if rng.random() < _STRETCHED and factor > 2 else factor
    (phase_x, word), (phase_y, _) = _phase(factor, rng), _phase(down, rng)
    columns, rows = enlarged_index(width, factor, phase_x), enlarged_index(height, down, phase_y)
    natives, extras = _natives(source_images, int(columns[-1]) + 1, int(rows[-1]) + 1, plan.frames, rng)
    if down != factor:
        extras = (*extras, "stretched")
    chroma = enlarged_index(width // 2, factor, phase_x / 2), enlarged_index(height // 2, down, phase_y / 2)
    frames = [_enlarged(native, (columns, rows), chroma) for native in natives]
    cell = {"class": "pixelated", "factor": f"{factor:g}", "phase": word}
    return Augmented(frames, Kind.PIXELATED, Blocks(factor, down, phase_x, phase_y), None, cell, extras)


def clean_blocks(source_images: SourceImages, plan: Plan, factor: float, rng: np.random.Generator) -> Augmented:
    """As in the published protocol: a small picture enlarged with phase 0, nothing else."""
    width, height = plan.even
    columns, rows = enlarged_index(width, factor, 0.0), enlarged_index(height, factor, 0.0)
    native = source_images.canvas(rng, int(columns[-1]) + 1, int(rows[-1]) + 1)
    chroma = enlarged_index(width // 2, factor, 0.0), enlarged_index(height // 2, factor, 0.0)
    cell = {"class": "pixelated", "factor": f"{factor:g}", "phase": "aligned"}
    return Augmented([_enlarged(native, (columns, rows), chroma)], Kind.PIXELATED, Blocks(factor, factor), None, cell)


def partly_pixelated(source_images: SourceImages, plan: Plan, factor: float, rng: np.random.Generator) -> Augmented:
    """A picture with 45 to 90 % of its area in blocks; the sharp rest is the same picture."""
    width, height = plan.even
    share = float(rng.uniform(_LEAST_LARGE, 0.9))
    wide = float(rng.uniform(share, 1))
    region = _placed(rng, width, height, wide, share / wide, margin=0.0)
    (phase_x, word), (phase_y, _) = _phase(factor, rng), _phase(factor, rng)
    frames = views(source_images, plan, rng, informative=True)
    blocks = Blocks(factor, factor, phase_x, phase_y)
    cell = {"class": "pixelated", "factor": f"{factor:g}", "phase": word}
    return Augmented([blocked(f, blocks, region) for f in frames], Kind.PIXELATED, blocks, region, cell, ("partial",))


def mosaic(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A picture with a small region censored by blocks that start at the region's corner."""
    width, height = plan.even
    (own,) = rng.spawn(1)
    if own.random() < _THUMBNAILS:
        return _thumbnails(source_images, plan, own)
    share, aspect = float(rng.uniform(*_SMALL)), float(np.exp(rng.uniform(-0.5, 0.5)))
    wide = min(0.5, (share * aspect) ** 0.5)
    region = _placed(rng, width, height, wide, min(0.5, share / wide), margin=0.2)
    size = max(3, round(max(region[2], region[3]) / float(rng.uniform(5, 20))))
    blocks = Blocks(size, size, region[0] % size, region[1] % size)
    frames = [blocked(frame, blocks, region) for frame in views(source_images, plan, rng, informative=True)]
    return Augmented(frames, Kind.MOSAIC, blocks, region, {"class": "mosaic", "block": f"{size}"})


def _thumbnails(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A screen with a few small pictures on it, each enlarged from fewer pixels."""
    width, height = plan.even
    frame, factor = planes_of(screen(rng, width, height)), float(rng.choice(FACTORS[1:7]))
    blocks = Blocks(factor, factor)
    for _ in range(int(rng.integers(1, 5))):
        share = float(rng.uniform(0.1, 0.2))
        region = _placed(rng, width, height, share, share, margin=0.02)
        small = part(source_images.informative_canvas(rng, region[2], region[3]), 0, 0, region[2], region[3])
        complete = blocked(small, blocks, (0, 0, region[2], region[3]))
        for plane, piece, ratio in zip(frame, complete, (1, 2, 2), strict=True):
            left, top, wide, high = (side // ratio for side in region)
            plane[top : top + high, left : left + wide] = piece[:high, :wide]
    cell = {"class": "mosaic", "drawn": "thumbnails", "block": f"{factor:g}"}
    return Augmented([frame] * plan.frames, Kind.MOSAIC, cell=cell)


def blocked(photo: Photo, blocks: Blocks, region: Region) -> Photo:
    """`photo` averaged over `blocks` within `region`; chroma, at half size, only if its blocks have two samples."""
    left, top, width, height = region
    planes = []
    for plane, ratio in zip(photo, (1, 2, 2), strict=True):
        size = blocks.width_px / ratio
        done = plane.copy()
        if size >= 1:
            at = slice(top // ratio, (top + height) // ratio), slice(left // ratio, (left + width) // ratio)
            phase = ((blocks.phase_x_px - left) / ratio) % size, ((blocks.phase_y_px - top) / ratio) % size
            done[at] = pixelate(plane[at], block_px=size, phase=phase)
        planes.append(done)
    return planes[0], planes[1], planes[2]


def _phase(factor: float, rng: np.random.Generator) -> tuple[float, str]:
    """Position of the first complete block, and its description."""
    draw = rng.random()
    if draw < 0.35:
        return 0.0, "aligned"
    if draw < 0.8 or factor == floor(factor):  # blocks of integer size start at integer positions
        complete = float(rng.integers(0, ceil(factor)))
        return complete, "intact" if complete else "aligned"
    return float(rng.uniform(0, factor)), "fraction"


def _natives(
    source_images: SourceImages, width: int, height: int, count: int, rng: np.random.Generator
) -> tuple[list[Photo], tuple[str, ...]]:
    """Small pictures with even sides in motion; possibly undersampled, with overlays, or encoded before enlargement."""
    width, height = width + width % 2, height + height % 2
    wide, high = width + 2 * DRIFT_PX, height + 2 * DRIFT_PX
    extras: tuple[str, ...] = ()
    (own,) = rng.spawn(1)
    share = own.random()
    if share < _DRAWN:
        canvas, extras = _drawn(own, wide, high), ("drawn",)
    elif share < _DRAWN + _SURROUNDED:
        canvas, extras = _surrounded(source_images.informative_canvas(own, wide, high), own), ("dark surround",)
    elif rng.random() < _ALIASED:
        twice = source_images.informative_canvas(rng, 2 * wide, 2 * high)
        canvas = (twice[0][::2, ::2], twice[1][::2, ::2], twice[2][::2, ::2])
        extras = ("aliased",)
    else:
        canvas = source_images.informative_canvas(rng, wide, high)
    frames = moving(canvas, width, height, count, rng)
    if min(width, height) >= 100 and rng.random() < _WRITTEN_BEFORE:
        frames, extras = draw_overlays(frames, rng), (*extras, "overlay before")
    if rng.random() < _CODED_BEFORE:
        quality = int(rng.integers(40, 91))
        frames, extras = [jpeg(frame, quality) for frame in frames], (*extras, "coded before")
    return frames, extras


def _drawn(rng: np.random.Generator, width: int, height: int) -> Photo:
    """A cartoon, the painted harbour, or a screen; smooth, as after a proper reduction."""
    draw = rng.random()
    if draw < 0.45:
        return planes_of(cartoon(rng, width, height))
    if draw < 0.7:
        return planes_of(cv2.resize(screen(rng, 2 * width, 2 * height), (width, height), interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]
    complete = _harbour(int(rng.integers(4)))
    size = float(rng.uniform(max(width / complete.shape[1], height / complete.shape[0]), 1.5))
    wide, high = min(complete.shape[1], ceil(width / size)), min(complete.shape[0], ceil(height / size))
    left, top = int(rng.integers(complete.shape[1] - wide + 1)), int(rng.integers(complete.shape[0] - high + 1))
    how = cv2.INTER_AREA if size < 1 else cv2.INTER_CUBIC
    return planes_of(cv2.resize(complete[top : top + high, left : left + wide], (width, height), interpolation=how))  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def _harbour(seed: int) -> Bytes:
    return np.ascontiguousarray(paint(seed=seed)[..., ::-1])


def _surrounded(photo: Photo, rng: np.random.Generator) -> Photo:
    """The content within a disc or a box, black around it."""
    height, width = photo[0].shape
    mask = np.zeros((height, width), np.uint8)
    half = [max(4, int(side * float(rng.uniform(0.2, 0.42)))) for side in (width, height)]
    centre = (
        int(rng.integers(half[0], max(half[0] + 1, width - half[0]))),
        int(rng.integers(half[1], max(half[1] + 1, height - half[1]))),
    )
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre, (half[0], half[1]), 0, 0, 360, 255, -1)
    else:
        corners = [(centre[0] + sign * half[0], centre[1] + sign * half[1]) for sign in (-1, 1)]
        cv2.rectangle(mask, corners[0], corners[1], 255, -1)
    masks = (mask, *[cv2.resize(mask, photo[1].shape[::-1], interpolation=cv2.INTER_NEAREST)] * 2)
    luma, blue, red = (
        np.where(shown > 0, plane, np.uint8(black))
        for plane, shown, black in zip(photo, masks, (16, 128, 128), strict=True)
    )
    return luma, blue, red


def _enlarged(native: Photo, luma: tuple[Starts, Starts], chroma: tuple[Starts, Starts]) -> Photo:
    """Every plane by nearest neighbour, (columns, rows) each."""
    planes: list[Bytes] = []
    for plane, (columns, rows) in zip(native, (luma, chroma, chroma), strict=True):
        inside = np.minimum(columns, plane.shape[1] - 1), np.minimum(rows, plane.shape[0] - 1)
        planes.append(np.ascontiguousarray(plane[inside[1]][:, inside[0]]))
    return planes[0], planes[1], planes[2]


def _placed(rng: np.random.Generator, width: int, height: int, wide: float, high: float, *, margin: float) -> Region:
    """A region of these shares of the sides at a random even position, at least `margin` (a share) from the edges."""
    sizes = max(8, int(width * wide) // 2 * 2), max(8, int(height * high) // 2 * 2)
    corner = []
    for side, size in zip((width, height), sizes, strict=True):
        least = int(min(side * margin, (side - size) / 2))
        corner.append(int(rng.integers(least, side - size - least + 1)) // 2 * 2)
    return corner[0], corner[1], sizes[0], sizes[1]
