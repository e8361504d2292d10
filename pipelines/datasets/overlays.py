"""Overlays: subtitles and logos drawn over pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from deepclarity.models.verdict import Bytes

from .degrade import Photo

_WORDS = (
    "What did you see out there?",
    "Nothing. Only the sea.",
    "- Who was it?",
    "Three years earlier",
    "LIVE",
    "Ça va?",
)


def draw_overlays(frames: Sequence[Photo], rng: np.random.Generator) -> list[Photo]:
    """Subtitles or a logo, the same on every frame."""
    height, width = frames[0][0].shape
    ink, edge = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    (_subtitles if rng.random() < 0.6 else _logo)(ink, edge, rng)
    return [_laid_over(photo, ink, edge) for photo in frames]


def _subtitles(ink: Bytes, edge: Bytes, rng: np.random.Generator) -> None:
    """Draw one or two lines at the bottom: white text into `ink`, its black outline into `edge`."""
    height, width = ink.shape
    size = max(0.3, min(height, width) / float(rng.uniform(450, 800)))
    for number, line in enumerate(rng.choice(_WORDS, int(rng.integers(1, 3))).tolist()):
        (wide, high), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_DUPLEX, size, 1)
        place = (width - wide) // 2, height - round(height * 0.07) - number * round(high * 1.9)
        cv2.putText(ink, line, place, cv2.FONT_HERSHEY_DUPLEX, size, 255, max(1, round(size)), cv2.LINE_AA)
    reach = 2 * round(1.5 * size + 0.5) + 1
    edge[:] = cv2.dilate(ink, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))


def _logo(ink: Bytes, edge: Bytes, rng: np.random.Generator) -> None:
    """Draw a half-transparent badge at the upper right."""
    height, width = ink.shape
    x, y, radius = round(width * rng.uniform(0.85, 0.93)), round(height * rng.uniform(0.08, 0.15)), height // 24 + 2
    cv2.circle(edge, (x, y), radius + 1, 200, -1, cv2.LINE_AA)
    cv2.rectangle(ink, (x - radius // 2, y - radius // 2), (x + radius // 3, y + radius // 2), 200, -1)
    cv2.circle(ink, (x, y), radius, 200, max(1, radius // 8), cv2.LINE_AA)


def _laid_over(photo: Photo, ink: Bytes, edge: Bytes) -> Photo:
    """Black under `edge`, then white under `ink`: masks of luma's size, 0..255."""
    cover = np.maximum(ink, edge)
    light, dark = (mask.astype(np.float32) / 255 for mask in (ink, edge))
    luma = photo[0] + (16 - photo[0].astype(np.float32)) * dark
    luma += (235 - luma) * light
    share = cv2.resize(cover, photo[1].shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    blue, red = ((p + (128 - p.astype(np.float32)) * share + 0.5).astype(np.uint8) for p in photo[1:])
    return (luma + 0.5).astype(np.uint8), blue, red
