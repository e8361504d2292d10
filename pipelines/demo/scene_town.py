"""The town in the demo's picture: a hill, its houses, a church, the quay and the shop on it."""

from __future__ import annotations

import cv2
import numpy as np

from .scene_nature import CREAM, Colour, Picture, draw_rock, draw_tree, fill, line, shade

QUAY = 800
"""The row where the town's wall meets the water."""
STREET = QUAY - 24
PLASTER: tuple[Colour, ...] = (
    (240, 216, 180),
    (230, 178, 124),
    (216, 138, 98),
    (242, 230, 208),
    (200, 116, 88),
    (226, 198, 130),
    (190, 182, 168),
)
SHUTTERS: tuple[Colour, ...] = ((50, 88, 80), (66, 92, 122), (122, 62, 46), (88, 84, 60))
COATS: tuple[Colour, ...] = ((176, 70, 56), (70, 92, 112), (214, 188, 146), (96, 104, 76), (66, 60, 66))


def draw_town(canvas: Picture, rng: np.random.Generator) -> None:
    """A hill with trees, terraces of houses on it, and the quay before them."""
    tiles = _tiles(rng)
    _hillside(canvas, rng)
    for share in (0.97, 0.8, 0.64, 0.49, 0.35, 0.22, 0.1):
        size = 1.0 - 0.62 * share
        x = 1330.0 + 330 * share + rng.uniform(0, 40)
        while x < canvas.shape[1]:
            y = int(STREET - 6 + (_hill_top(x) - STREET) * share)
            width, height = int(rng.uniform(84, 150) * size), int(rng.uniform(92, 160) * size)
            if rng.random() < 0.8:
                _state(canvas, rng, tiles, (int(x), y, width, height), size)
            draw_tree(
                canvas,
                rng,
                (x + width * 1.28, y + 3),
                height=rng.uniform(46, 92) * size,
                slim=rng.random() < 0.5,
            )
            x += width * rng.uniform(1.25, 1.75)
    _church(canvas, rng, tiles, 2130, 446)
    _quay(canvas, rng)
    _waterfront(canvas, rng, tiles)


def _hill_top(x: float) -> float:
    t = min(1.0, max(0.0, (x - 1080) / 1350))
    return float(QUAY - 10 - 400 * t * t * (3 - 2 * t) - 46 * min(1.0, t * 9) - 9 * np.sin(x / 61) - 5 * np.sin(x / 23))


def _hillside(canvas: Picture, rng: np.random.Generator) -> None:
    xs = np.arange(1060, canvas.shape[1] + 1)
    tops = np.array([_hill_top(x) for x in xs])
    outline = np.column_stack((np.r_[xs, xs[-1], xs[0]], np.r_[tops, QUAY, QUAY]))
    fill(canvas, outline, (92, 90, 56))
    for _ in range(9000):  # scrub, back to front
        x = int(rng.uniform(1066, canvas.shape[1]))
        share = 1 - rng.random() ** 0.8
        y = int(QUAY - 8 + (_hill_top(x) - QUAY + 6) * share)
        tone = rng.uniform(0.55, 1.35)
        base = (120, 108, 58) if rng.random() < 0.3 else (84, 88, 48)
        cv2.circle(canvas, (x, y), int(rng.integers(1, 4)), shade(base, tone), -1, cv2.LINE_AA)
    for _ in range(420):  # rocks where the headland meets the sea
        middle = (rng.uniform(1050, 1420), QUAY - 4 - abs(rng.normal(0, 7)))
        draw_rock(canvas, rng, middle, shade((150, 120, 98), rng.uniform(0.5, 1.3)))
    for along in np.sort(rng.uniform(1130, canvas.shape[1], 95)).tolist():
        draw_tree(
            canvas,
            rng,
            (along, _hill_top(along) + rng.uniform(2, 16)),
            height=rng.uniform(20, 42),
            slim=rng.random() < 0.25,
        )


def _tiles(rng: np.random.Generator) -> Picture:
    """A field of curved terracotta tiles, each of its own colour."""
    y, x = np.mgrid[0:256, 0:640]
    row = y // 8
    across = x + (row % 2) * 4
    tone = rng.uniform(0.72, 1.18, (64, 128))[row, across // 8]
    curve = 1.12 - 0.5 * np.abs((across % 8) / 8 - 0.42) - 0.34 * ((y % 8) == 7) + 0.16 * ((y % 8) == 0)
    warm = np.array((204, 108, 66))[None, None] + rng.uniform(-14, 14, (64, 128, 1))[row, across // 8]
    return np.asarray(np.clip(warm * (tone * curve)[..., None], 0, 255), np.uint8)


def _state(
    canvas: Picture, rng: np.random.Generator, tiles: Picture, box: tuple[int, int, int, int], size: float
) -> None:
    """Walls, roof, chimney and windows; the light comes from the left."""
    x, y, w, h = box
    colour = PLASTER[rng.integers(len(PLASTER))]
    side, roof, eaves = int(w * 0.2), int(h * rng.uniform(0.2, 0.32)), max(2, int(4 * size))
    fill(
        canvas,
        ((x + w, y), (x + w + side, y - 3), (x + w + side, y - h), (x + w, y - h)),
        shade(colour, 0.5),
    )
    _wall(canvas, rng, (x, y - h, w, h), colour)
    _roof(canvas, rng, tiles, (x, y - h, w + side, roof), size)
    cv2.rectangle(canvas, (x, y - h), (x + w, y - h + eaves), shade(colour, 0.45), -1)
    stack = x + int(w * rng.uniform(0.2, 0.7))
    top = y - h - roof - int(8 * size)
    cv2.rectangle(canvas, (stack, top), (stack + int(11 * size), top + int(20 * size)), shade(colour, 0.8), -1)
    cv2.rectangle(canvas, (stack - 1, top - 2), (stack + int(11 * size) + 1, top), (120, 70, 50), -1)
    shutter = SHUTTERS[rng.integers(len(SHUTTERS))]
    columns, floors = max(2, int(w / (34 * size))), max(1, int(h / (42 * size)))
    pitch_x, pitch_y = w / columns, h / floors
    for floor in range(floors):
        for column in range(columns):
            if rng.random() < 0.93:
                middle_x, middle_y = x + pitch_x * (column + 0.5), y - h + pitch_y * (floor + 0.56)
                _window(canvas, rng, (middle_x, middle_y, pitch_x * 0.34, pitch_y * 0.5), shutter)


def _wall(canvas: Picture, rng: np.random.Generator, box: tuple[int, int, int, int], colour: Colour) -> None:
    """Plaster: brighter towards the sun, stained from the eaves down, rough all over."""
    x, y, w, h = box
    patch = canvas[max(0, y) : y + h, x : x + w]
    h, w = patch.shape[:2]
    if not (h and w):
        return
    stains = cv2.resize(rng.random((3, max(2, w // 5)), np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    rough = rng.normal(0, 0.014, (h, w))
    light = np.linspace(1.07, 0.9, w)[None] * np.linspace(1.03, 0.93, h)[:, None] + 0.13 * (stains - 0.5) + rough
    patch[:] = np.clip(np.asarray(colour) * light[..., None], 0, 255)


def _roof(
    canvas: Picture, rng: np.random.Generator, tiles: Picture, box: tuple[int, int, int, int], size: float
) -> None:
    x, y, w, h = box
    over = max(2, int(5 * size))
    corners = np.array(((x - over, y + 1), (x + w + over, y + 1), (x + w - h * 0.55, y - h), (x + h * 0.55, y - h)))
    left, right = max(0, x - over), min(canvas.shape[1], x + w + over)
    patch = canvas[y - h : y + 2, left:right]
    if patch.shape[1] < 2:
        return
    shift = int(rng.integers(0, 20)) * 16
    source = tiles[: int((h + 2) / size) + 1, shift : shift + int((right - left) / size) + 1]
    texture = cv2.resize(source, (patch.shape[1], patch.shape[0]), interpolation=cv2.INTER_AREA)
    mask = np.zeros(patch.shape, np.uint8)
    fill(mask, corners - (left, y - h), (255, 255, 255))
    tone = rng.uniform(0.86, 1.12) * np.linspace(1.12, 0.84, patch.shape[1])[None, :, None]
    patch[:] = np.clip(patch + (np.clip(texture * tone, 0, 255) - patch) * (mask / 255.0), 0, 255)
    line(canvas, (corners[3], corners[2]), (236, 156, 104), 1)
    line(canvas, (corners[0], corners[1]), (112, 58, 40), 1)


def _window(canvas: Picture, rng: np.random.Generator, box: tuple[float, float, float, float], shutter: Colour) -> None:
    """Panes that mirror the sky or glow, a cross, shutters, a sill; `box` is middle and size."""
    x, y, half_w, half_h = box[0], box[1], box[2] / 2, box[3] / 2
    left, right, top, bottom = (round(v) for v in (x - half_w, x + half_w, y - half_h, y + half_h))
    lit = rng.random() < 0.24
    glass = (255, 206, 112) if lit else shade((86, 98, 112), rng.uniform(0.6, 1.25))
    cv2.rectangle(canvas, (left - 1, top - 1), (right + 1, bottom + 1), (234, 222, 200), -1)
    cv2.rectangle(canvas, (left, top), (right, bottom), glass, -1)
    if right - left >= 6:
        cv2.rectangle(canvas, (left, top), (right, top + (bottom - top) // 4), shade(glass, 0.7), -1)
        line(canvas, (((left + right) // 2, top), ((left + right) // 2, bottom)), CREAM, 1)
        line(canvas, ((left, (top + bottom) // 2), (right, (top + bottom) // 2)), CREAM, 1)
    leaf = max(1, round(half_w * 0.8))
    for edge in (left - leaf - 1, right + 2):
        cv2.rectangle(canvas, (edge, top), (edge + leaf - 1, bottom), shutter, -1)
        for slat in range(top + 1, bottom, 3):
            line(canvas, ((edge, slat), (edge + leaf - 1, slat)), shade(shutter, 1.35), 1)
    cv2.rectangle(canvas, (left - 2, bottom + 1), (right + 2, bottom + 2), (150, 120, 96), -1)


def _church(canvas: Picture, rng: np.random.Generator, tiles: Picture, x: int, y: int) -> None:
    _state(canvas, rng, tiles, (x + 30, y, 92, 58), 0.62)
    _wall(canvas, rng, (x, y - 128, 34, 130), (240, 222, 188))
    fill(canvas, ((x + 34, y), (x + 44, y - 2), (x + 44, y - 124), (x + 34, y - 128)), (128, 112, 96))
    for row in (-112, -84):
        cv2.ellipse(canvas, (x + 17, y + row + 8), (6, 9), 0, 0, 360, (66, 58, 60), -1, cv2.LINE_AA)
    for row in (-128, -98, -70, -36):
        cv2.rectangle(canvas, (x - 2, y + row), (x + 45, y + row + 2), (198, 172, 136), -1)
    cv2.ellipse(canvas, (x + 22, y - 128), (21, 24), 0, 180, 360, (96, 128, 120), -1, cv2.LINE_AA)
    cv2.ellipse(canvas, (x + 16, y - 129), (9, 19), 0, 180, 360, (156, 180, 158), -1, cv2.LINE_AA)
    line(canvas, ((x + 22, y - 152), (x + 22, y - 172)), (70, 56, 50), 2)
    line(canvas, ((x + 16, y - 166), (x + 28, y - 166)), (70, 56, 50), 2)


def _quay(canvas: Picture, rng: np.random.Generator) -> None:
    """Courses of cut stone, each stone of its own grey."""
    left = 1300
    cv2.rectangle(canvas, (left, STREET - 4), (canvas.shape[1], QUAY), (92, 78, 68), -1)
    for row in range(3):
        x = left - int(rng.integers(0, 12))
        while x < canvas.shape[1]:
            width = int(rng.integers(14, 30))
            tone = shade((184, 158, 130), rng.uniform(0.72, 1.12) * (1 - 0.16 * row))
            cv2.rectangle(canvas, (max(left, x), STREET + row * 8), (x + width - 2, STREET + row * 8 + 6), tone, -1)
            x += width
    cv2.rectangle(canvas, (left, STREET - 5), (canvas.shape[1], STREET - 2), (226, 198, 158), -1)


def _waterfront(canvas: Picture, rng: np.random.Generator, tiles: Picture) -> None:
    """The first row of houses, the shop with the sign, lamps and people."""
    x = 1420
    while x < canvas.shape[1]:
        width, height = int(rng.uniform(104, 160)), int(rng.uniform(150, 212))
        if 1640 < x < 1960 or 1640 < x + width < 1700:
            x = max(x, 1960)
            continue
        _state(canvas, rng, tiles, (x, STREET - 4, width, height), 1.0)
        x += int(width * rng.uniform(1.2, 1.34))
    _shop(canvas, rng, tiles, (1684, STREET - 4, 226, 206))
    for lamp in (1350, 1498, 1652, *range(1962, canvas.shape[1], 148)):
        line(canvas, ((lamp, STREET - 4), (lamp, STREET - 64)), (48, 42, 42), 2)
        cv2.circle(canvas, (lamp, STREET - 68), 5, (255, 236, 178), -1, cv2.LINE_AA)
        cv2.rectangle(canvas, (lamp - 5, STREET - 77), (lamp + 5, STREET - 75), (48, 42, 42), -1)
    for _ in range(46):
        foot, tall = int(rng.uniform(1320, canvas.shape[1])), int(rng.uniform(17, 23))
        coat = shade(COATS[rng.integers(len(COATS))], rng.uniform(0.7, 1.1))
        line(canvas, ((foot - 2, STREET - 4), (foot, STREET - tall // 2)), (52, 48, 58), 2)
        line(canvas, ((foot + 3, STREET - 4), (foot, STREET - tall // 2)), (44, 40, 50), 2)
        cv2.ellipse(canvas, (foot, STREET - tall + 5), (3, 6), 0, 0, 360, coat, -1, cv2.LINE_AA)
        cv2.circle(canvas, (foot, STREET - tall - 3), 2, (214, 164, 130), -1, cv2.LINE_AA)


def _shop(canvas: Picture, rng: np.random.Generator, tiles: Picture, box: tuple[int, int, int, int]) -> None:
    """The house that everybody reads first: a sign, a striped awning, a lit window."""
    x, y, w, _ = box
    _state(canvas, rng, tiles, box, 1.0)
    cv2.rectangle(canvas, (x + 1, y - 109), (x + w - 1, y), (226, 190, 146), -1)
    cv2.rectangle(canvas, (x + 10, y - 106), (x + w - 10, y - 58), (20, 66, 70), -1)
    cv2.rectangle(canvas, (x + 13, y - 103), (x + w - 13, y - 61), (226, 190, 110), 1, cv2.LINE_AA)
    _write(canvas, "DeepClarity", (x + w // 2, y - 80), 170, CREAM)
    _write(canvas, "books   coffee   maps", (x + w // 2, y - 65), 110, (226, 190, 110))
    for stripe in range(15):
        left, step = x + 6 + stripe * (w - 12) / 15, (w - 12) / 15
        colour = (184, 62, 48) if stripe % 2 else CREAM
        fill(
            canvas,
            ((left, y - 55), (left + step, y - 55), (left + step + 2, y - 38), (left + 1, y - 38)),
            colour,
        )
        cv2.circle(canvas, (int(left + step / 2 + 2), y - 38), int(step / 2), shade(colour, 0.86), -1, cv2.LINE_AA)
    for left in (x + 14, x + 82, x + 150):
        cv2.rectangle(canvas, (left, y - 30), (left + 60, y - 2), (255, 214, 130), -1)
        cv2.rectangle(canvas, (left, y - 30), (left + 60, y - 2), (92, 58, 40), 1)
        for jar in range(left + 5, left + 56, 7):
            top, tone = y - 9 - int(rng.integers(0, 5)), rng.uniform(0.5, 1.3)
            cv2.rectangle(canvas, (jar, top), (jar + 4, y - 3), shade((150, 90, 60), tone), -1)


def _write(canvas: Picture, text: str, middle: tuple[int, int], width_px: int, colour: Colour) -> None:
    """`text` centred on x and standing on y; OpenCV's fonts differ by version, so the width is measured."""
    font = cv2.FONT_HERSHEY_TRIPLEX
    size = width_px / cv2.getTextSize(text, font, 1.0, 1)[0][0]
    cv2.putText(canvas, text, (middle[0] - width_px // 2, middle[1]), font, size, colour, 1, cv2.LINE_AA)
