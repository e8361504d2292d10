"""Make the pictures of docs/how/decides.md from the demo's scene: `python docs/tools/pictures.py`.

The same version of DeepClarity gives the same pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import deepclarity as dc
from deepclarity.models.detectors import load_detector
from deepclarity.pipelines.demo.scene import paint, pan, pixelate
from deepclarity.pipelines.report.explain import explain
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.still import Picture, write_picture

IMAGES = Path(__file__).parents[1] / "images"
BLOCK_PX = 4
QUALITY = 82
Rgb = NDArray[np.uint8]


def main() -> None:
    """Write every picture."""
    scene = paint(1280, 540)
    with tempfile.TemporaryDirectory() as folder:
        why(scene, Path(folder))
        routing(scene, Path(folder))
    lanes(scene)
    part(scene)


def why(scene: Rgb, folder: Path) -> None:
    """What `detect --explain` draws of a picture that is half in blocks."""
    path = folder / "half.png"
    write_picture(path, Picture(np.ascontiguousarray(half_in_blocks(scene)[:, :, ::-1])))
    drawn = explain(path, load_detector("lattice-net")).pixels
    save("why.jpg", cv2.resize(drawn, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA))


def lanes(scene: Rgb) -> None:
    """A detail as it was, in blocks, enlarged by Lanczos and by the network."""
    blocks = pixelate(scene, block_px=BLOCK_PX)
    window = np.s_[150:290, 820:1000]
    pictures = [
        scene,
        blocks,
        *(dc.correct(blocks, model=model, order="rgb", device="cpu") for model in ("lanczos", "srgan")),
    ]
    save("lanes.jpg", titled([picture[window] for picture in pictures], ("clean", "in blocks", "lanczos", "srgan")))


def part(scene: Rgb) -> None:
    """A picture that is half in blocks, its repair, and what the repair changed, eight times as strong."""
    before = half_in_blocks(scene)
    after = dc.correct(before, model="turbo", order="rgb", device="cpu")
    change = np.minimum(cv2.absdiff(before, after).astype(np.uint16) * 8, 255).astype(np.uint8)
    small = [cv2.resize(each, (427, 180), interpolation=cv2.INTER_AREA) for each in (before, after, change)]
    save("part.jpg", titled(small, ("left half in blocks", "repaired", "change, 8 times"), zoom=1))


def routing(scene: Rgb, folder: Path) -> None:
    """The score and the lane of each frame of a clip whose middle is in blocks, as SVG."""
    frames = pan(scene, count=60, width=640, height=360)
    clip = folder / "clip.mp4"
    write_clip(clip, (pixelate(f, block_px=4) if 20 <= n < 40 else f for n, f in enumerate(frames)), rate=25)
    records: list[dc.FrameRecord] = []
    for _ in dc.repair(frames_of(clip), rate=25, model="turbo", device="cpu", on_frame=records.append):
        pass
    (IMAGES / "routing.svg").write_text(chart(records), encoding="utf-8")


def frames_of(path: Path) -> Iterator[Rgb]:
    """The frames of a video, BGR."""
    capture = cv2.VideoCapture(str(path))
    while (read := capture.read())[0]:
        yield np.asarray(read[1], np.uint8)
    capture.release()


def chart(records: list[dc.FrameRecord]) -> str:
    """Bars of the scores, coloured by lane."""
    bars = "".join(
        f'<rect x="{40 + 10 * record.index}" y="{120 - 100 * record.score:.1f}" width="9" '
        f'height="{max(1.0, 100 * record.score):.1f}" '
        f'fill="{"#d04526" if record.lane == "enhance" else "#7096c0"}"/>'
        for record in records
    )
    line = '<line x1="40" x2="640" y1="{y}" y2="{y}" stroke="#888" stroke-dasharray="4 3"/>'
    words = (
        '<text x="4" y="64">0.6 on</text><text x="4" y="84">0.4 off</text>'
        '<text x="40" y="138">frame 0</text><text x="240" y="138">20</text><text x="440" y="138">40</text>'
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 650 145" font-family="sans-serif" font-size="11" '
        f'fill="#777">{bars}{line.format(y=60)}{line.format(y=80)}{words}</svg>\n'
    )


def half_in_blocks(scene: Rgb) -> Rgb:
    """`scene` with its left half in blocks."""
    result = scene.copy()
    result[:, :640] = pixelate(scene, block_px=BLOCK_PX)[:, :640]
    return result


def titled(pictures: list[Rgb], titles: tuple[str, ...], *, zoom: int = 2) -> Rgb:
    """RGB pictures side by side as BGR, each with its title below."""
    columns = []
    for picture, title in zip(pictures, titles, strict=True):
        large = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
        column = cv2.copyMakeBorder(large, 4, 26, 4, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        cv2.putText(
            column, title, (6, column.shape[0] - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (60, 60, 60), 1, cv2.LINE_AA
        )
        columns.append(column)
    return np.ascontiguousarray(np.hstack(columns)[:, :, ::-1], np.uint8)


def save(name: str, bgr: Rgb) -> None:
    """Write a JPEG."""
    if not cv2.imwrite(str(IMAGES / name), bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise OSError(f"{name}: cannot be written")


if __name__ == "__main__":
    main()
