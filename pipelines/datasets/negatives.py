"""Negative samples: pictures that are not pixelated, mostly of kinds that are easily mistaken for pixelated ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import cv2
import numpy as np

from deepclarity.models.verdict import Bytes, Kind
from deepclarity.stream.files.recode import recode

from .augment import Augmented, Plan
from .degrade import Photo, jpeg, planes_of
from .photos import SourceImages, part, resized
from .positives import mosaic, views
from .synthetic import GRIDS, bars, pixel_art, screen

SOFT_FACTORS = (1.5, 2.0, 2.5, 3.0, 4.0)

_FILTERS = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
_POOR_JPEG = (10, 30)
_MPEG, _POOR_MPEG = 0.8, (14, 32)

Make = Callable[[SourceImages, Plan, np.random.Generator], Augmented]


def natural(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A sharp photo."""
    return Augmented(views(source_images, plan, rng), Kind.CLEAN, cell={"class": "natural"})


def clip(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A complete frame of a clip, unmodified; a photo if there are no clips."""
    still = source_images.still(rng)
    return Augmented([still], Kind.CLEAN, cell={"class": "clip"}) if still else natural(source_images, plan, rng)


def defocused(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """Blurred, entirely or except for a sharp disc."""
    frames, spread = views(source_images, plan, rng), float(np.exp(rng.uniform(0, 2)))
    blurred = [_blurred(frame, spread) for frame in frames]
    if rng.random() < 0.4:
        blurred = [_sharp_within(sharp, soft) for sharp, soft in zip(frames, blurred, strict=True)]
    return Augmented(blurred, Kind.CLEAN, cell={"class": "defocus"})


def soft(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A smooth enlargement."""
    width, height = plan.even
    factor, name = float(rng.choice(SOFT_FACTORS)), str(rng.choice(list(_FILTERS)))
    sizes = [round(side / factor / 2) * 2 for side in (width, height)]
    small = views(source_images, Plan((sizes[0], sizes[1]), frames=plan.frames), rng)
    frames = [resized(frame, width, height, _FILTERS[name]) for frame in small]
    return Augmented(frames, Kind.SOFT, cell={"class": "soft", "enlarged": f"{factor:g}", "filter": name})


def blocky(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """The 8×8 grid of coarse JPEG and MPEG: in place, shifted by a crop, or resized with the picture."""
    width, height = plan.even
    (own,) = rng.spawn(1)
    if own.random() < _MPEG:
        return _mpeg(source_images, plan, own)
    quality, stretch = int(rng.integers(_POOR_JPEG[0], _POOR_JPEG[1] + 1)), 1.0
    if rng.random() < 0.35:
        stretch = float(rng.uniform(1.1, 2.5))
    sizes = [round(side / stretch / 2) * 2 + 16 for side in (width, height)]
    left, top = (2 * rng.integers(0, 5, 2)).tolist() if rng.random() < 0.5 else (0, 0)
    frames = []
    for photo in views(source_images, Plan((sizes[0], sizes[1]), frames=plan.frames), rng):
        cut = part(jpeg(photo, quality), left, top, sizes[0] - 16, sizes[1] - 16)
        frames.append(cut if stretch == 1 else resized(cut, width, height, cv2.INTER_CUBIC))
    word = "resized" if stretch > 1 else "moved" if left % 8 or top % 8 else "in place"
    return Augmented(frames, Kind.BLOCKY, cell={"class": "blocky", "grid": word})


def _mpeg(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """Coarse MPEG-4 Part 2 or MPEG-2: neither has a deblocking filter."""
    codec, quantiser = str(rng.choice(["mpeg4", "mpeg2video"])), int(rng.integers(*_POOR_MPEG))
    frames = views(source_images, replace(plan, frames=max(3, plan.frames)), rng)
    seen = cast(list[Photo], recode(frames, codec=codec, crf=quantiser))[-plan.frames :]
    return Augmented(seen, Kind.BLOCKY, cell={"class": "blocky", "grid": codec})


def _drawn(
    source_images: SourceImages, plan: Plan, rng: np.random.Generator, *, draw: Callable[..., Bytes], name: str
) -> Augmented:
    """A drawing, over the entire picture or a part of a photo."""
    width, height = plan.even
    picture = planes_of(draw(rng, width, height))
    if name == "grid" and rng.random() < 0.5:
        under = source_images.canvas(rng, width, height)
        share = float(rng.uniform(0.15, 0.6))
        picture = _pasted(under, picture, share)
    return Augmented([picture] * plan.frames, Kind.CLEAN, cell={"class": name, "drawn": draw.__name__})


def _sprites(source_images: SourceImages, plan: Plan, rng: np.random.Generator, *, counts: bool) -> Augmented:
    """Pixel art: intentional blocks. `counts`: whether they are labelled as pixelated."""
    pixels, blocks = pixel_art(rng, *plan.even)
    kind = Kind.PIXELATED if counts else Kind.CLEAN
    cell = {"class": "pixel art", "factor": f"{blocks.width_px:g}"}
    return Augmented([planes_of(pixels)] * plan.frames, kind, blocks, cell=cell)


def flat(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A flat colour, a slow gradient, or a test card."""
    width, height = plan.even
    what = str(rng.choice(["black", "shade", "ramp", "bars"]))
    if what == "bars":
        return Augmented(
            [planes_of(bars(width, height))] * plan.frames, Kind.CLEAN, cell={"class": "flat", "drawn": what}
        )
    low, high = (16.0, 16.0) if what == "black" else sorted(rng.uniform(16, 235, 2).tolist())
    ramp = np.linspace(low, high if what == "ramp" else low, width, dtype=np.float32)
    luma = np.tile((ramp + 0.5).astype(np.uint8), (height, 1))
    blue, red = (np.full((height // 2, width // 2), int(v), np.uint8) for v in rng.integers(90, 166, 2))
    return Augmented([(luma, blue, red)] * plan.frames, Kind.CLEAN, cell={"class": "flat", "drawn": what})


def faded(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """A fade to black, or a cross-fade between two pictures."""
    frames, share = views(source_images, plan, rng), float(rng.uniform(0.1, 0.9))
    if rng.random() < 0.5:
        frames = [_mixed(frame, _black(frame), share + 0.05 * i) for i, frame in enumerate(frames)]
        return Augmented(frames, Kind.CLEAN, cell={"class": "fade", "drawn": "to black"})
    others = views(source_images, plan, rng)
    mixed = [_mixed(one, two, share + 0.05 * i) for i, (one, two) in enumerate(zip(frames, others, strict=True))]
    return Augmented(mixed, Kind.CLEAN, cell={"class": "fade", "drawn": "dissolve"})


def combed(source_images: SourceImages, plan: Plan, rng: np.random.Generator) -> Augmented:
    """Two interlaced fields with motion between them: combs at vertical edges."""
    width, height = plan.even
    shift = 2 * int(rng.integers(1, 9))
    frames = []
    for photo in views(source_images, Plan((width + shift, height), frames=plan.frames), rng):
        later, woven = part(photo, shift, 0, width, height), part(photo, 0, 0, width, height)
        planes = [np.ascontiguousarray(plane) for plane in woven]
        for plane, other in zip(planes, later, strict=True):
            plane[1::2] = other[1::2]
        frames.append((planes[0], planes[1], planes[2]))
    return Augmented(frames, Kind.CLEAN, cell={"class": "combed"})


def _blurred(photo: Photo, spread: float) -> Photo:
    luma, blue, red = (cv2.GaussianBlur(p, (0, 0), spread / r) for p, r in zip(photo, (1, 2, 2), strict=True))
    return cast(Photo, (luma, blue, red))


def _sharp_within(sharp: Photo, soft: Photo) -> Photo:
    """`sharp` in a central disc, `soft` around it."""
    planes = []
    for one, two in zip(sharp, soft, strict=True):
        disc = np.zeros(one.shape, np.float32)
        cv2.circle(disc, (one.shape[1] // 2, one.shape[0] // 2), min(one.shape) // 3, 1.0, -1)
        mask = cv2.blur(disc, (15, 15))
        planes.append((two + (one.astype(np.float32) - two) * mask + 0.5).astype(np.uint8))
    return planes[0], planes[1], planes[2]


def _pasted(under: Photo, over: Photo, share: float) -> Photo:
    """The centre of `over`, covering `share` of the area, on top of `under`."""
    height, width = under[0].shape
    wide, high = (int(side * share**0.5) // 2 * 2 for side in (width, height))
    left, top = (width - wide) // 4 * 2, (height - high) // 4 * 2
    done = tuple(plane.copy() for plane in under)
    for target, source in zip(
        part((done[0], done[1], done[2]), left, top, wide, high), part(over, left, top, wide, high), strict=True
    ):
        target[:] = source
    return done[0], done[1], done[2]


def _black(photo: Photo) -> Photo:
    luma, blue, red = (np.full_like(plane, value) for plane, value in zip(photo, (16, 128, 128), strict=True))
    return luma, blue, red


def _mixed(one: Photo, other: Photo, share: float) -> Photo:
    share = min(share, 1.0)
    luma, blue, red = (cv2.addWeighted(a, 1 - share, b, share, 0) for a, b in zip(one, other, strict=True))
    return cast(Photo, (luma, blue, red))


def negatives(*, pixel_art_counts: bool) -> tuple[Make, ...]:
    """All classes, in cycling order; includes pixel art even if it counts as pixelated."""
    grids = [partial(_drawn, draw=draw, name="grid") for draw in GRIDS]
    screens = [partial(_drawn, draw=screen, name="text")] * 2
    art = partial(_sprites, counts=pixel_art_counts)
    photos: list[Make] = [natural, natural, natural, defocused, soft, blocky, mosaic, clip, faded, combed]
    return (*photos, *screens, *grids, art, flat)
