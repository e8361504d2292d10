"""Public API for single images: `detect` and `correct`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast, overload

from deepclarity.errors import UsageError
from deepclarity.models.artifacts.reducer import ArtifactReducer, load_reducer
from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Detector, Kind, Verdict
from deepclarity.pipelines.correct import correct as correct_picture
from deepclarity.pipelines.correct import correct_planes, needs_repair
from deepclarity.pipelines.detect import detect_picture
from deepclarity.pipelines.route import parse_repair
from deepclarity.stream.files.still import IMAGE_SUFFIXES, read_picture
from deepclarity.stream.frame import Planes
from deepclarity.stream.pictures.sniff import check_still

from .arrays import ColourImage, Image, Order, PlanarImage, PlanarPicture, check_order, colour_image, planar_picture
from .networks import as_detector, as_enhancer

Path_ = str | os.PathLike[str]


def detect(
    image: Path_ | Image | PlanarImage,
    *,
    detector: Detector | str = DEFAULT_DETECTOR,
    order: Order = "bgr",
    max_value: int | None = None,
) -> Verdict:
    """Say whether an image is pixelated, and where its blocks lie.

    Args:
        image: Path of a picture file; or an array, (height, width, 3), (height, width, 4) or (height, width), uint8 in
            0..255 or uint16 in 0..65535; or a tuple of planes (Y', Cb, Cr), 2-D, uint8 or uint16 in 0..max_value,
            4:4:4, 4:2:2 or 4:2:0. Arrays are not modified.
        detector: Name of a method, loaded once and kept, or what `load_detector` returned.
        order: Channel order of colour arrays, `bgr` (OpenCV) or `rgb` (Pillow).
        max_value: Largest sample value of uint16 planes, such as 1023.

    Returns:
        A `Verdict`: `pixelated`, `kind`, `score` in 0..1, `blocks` in pixels.

    Raises:
        UsageError: The array's shape or dtype, or a name, cannot be used.
        SourceError: The file is missing, damaged or no picture.
    """
    method = as_detector(detector)
    if isinstance(image, tuple | list):
        planar = planar_picture(image, max_value)
        return detect_picture(planar.planes[0], method, max_value=planar.max_value, chroma=planar.planes[1:])[0]
    picture = _read(image, order).picture
    planes = picture.planes
    return detect_picture(planes[0], method, max_value=picture.max_value, chroma=planes[1:])[0]


@overload
def correct(
    image: Path_ | Image,
    *,
    model: Enhancer | str | os.PathLike[str] = "srgan",
    detector: Detector | str = DEFAULT_DETECTOR,
    device: str = "auto",
    scale: float = 1.0,
    force: bool = False,
    repair: str = "pixelated,blocky",
    order: Order = "bgr",
    max_value: int | None = None,
) -> Image: ...


@overload
def correct(
    image: PlanarImage,
    *,
    model: Enhancer | str | os.PathLike[str] = "srgan",
    detector: Detector | str = DEFAULT_DETECTOR,
    device: str = "auto",
    scale: float = 1.0,
    force: bool = False,
    repair: str = "pixelated,blocky",
    order: Order = "bgr",
    max_value: int | None = None,
) -> Planes: ...


def correct(
    image: Path_ | Image | PlanarImage,
    *,
    model: Enhancer | str | os.PathLike[str] = "srgan",
    detector: Detector | str = DEFAULT_DETECTOR,
    device: str = "auto",
    scale: float = 1.0,
    force: bool = False,
    repair: str = "pixelated,blocky",
    order: Order = "bgr",
    max_value: int | None = None,
) -> Image | Planes:
    """Repair an image where it is pixelated, or of another kind in `repair`.

    Args:
        image: As for `detect`. Arrays are not modified.
        model: Tier or path of a model file, loaded once and kept, or what `load_enhancer` returned.
        detector: As for `detect`.
        device: Where a tier given by name runs: `auto`, `cpu`, `cuda` or `cuda:N`.
        scale: Output size over input size, 0.1 to 16. Other than 1, the image is resized whatever the verdict.
        repair: Kinds to repair, of `pixelated,blocky,soft`.
        force: Send the image through the network whatever the verdict.
        order: Channel order of colour arrays and, for a path, of the result.
        max_value: As for `detect`.

    Returns:
        An array (or a tuple of planes) of the size, dtype, layout and order of the input. An image that is not
        pixelated comes back unchanged: as the very array that was passed in.

    Raises:
        UsageError: The array's shape or dtype, `scale`, or a name, cannot be used.
        SourceError: The file is missing, damaged or no picture.
        DeviceError: The device does not exist or failed.
    """
    if not 0.1 <= scale <= 16:
        raise UsageError(f"scale {scale}: use a number from 0.1 to 16.")
    kinds = parse_repair(repair, where="repair")
    method, enhancer = as_detector(detector), as_enhancer(model, device)
    if isinstance(image, tuple | list):
        planar = planar_picture(image, max_value)
        return _correct_planes(image, planar, method, enhancer, scale=scale, force=force, repair=kinds)
    source = _read(image, order)
    result = correct_picture(source.picture, detector=method, enhancer=enhancer, scale=scale, force=force, repair=kinds)
    return source.like(result.picture) if result.repaired else source.array


def _correct_planes(
    image: PlanarImage,
    planar: PlanarPicture,
    detector: Detector,
    enhancer: Enhancer,
    *,
    scale: float,
    force: bool,
    repair: frozenset[Kind],
) -> Planes:
    reducer = _reducer(enhancer, repair)
    verdict, _ = detect_picture(planar.planes[0], detector, max_value=planar.max_value, chroma=planar.planes[1:])
    if not force and scale == 1 and not needs_repair(verdict, repair, reducer):
        return cast("Planes", tuple(image))
    height, width = planar.planes[0].shape
    repaired = correct_planes(
        planar.planes,
        verdict,
        enhancer=enhancer,
        size=(max(1, round(width * scale)), max(1, round(height * scale))),
        max_value=planar.max_value,
        subsampling=planar.subsampling,
        force=force,
        repair=repair,
        reducer=reducer,
    )
    return cast("Planes", tuple(image)) if repaired is None else repaired


def _reducer(enhancer: Enhancer, repair: frozenset[Kind]) -> ArtifactReducer | None:
    return load_reducer(enhancer.name) if Kind.BLOCKY in repair else None


def _read(image: Path_ | Image | PlanarImage, order: Order) -> ColourImage:
    """A picture file or an array as a validated image."""
    check_order(order)
    if not isinstance(image, str | os.PathLike):
        return colour_image(cast("Image", image), order)
    path = Path(image)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UsageError(f"{path}: not a picture file. Use detect_file or upscale for videos.")
    check_still(path)
    picture = read_picture(path)
    array = ColourImage(picture.pixels, order, picture).like(picture)
    return ColourImage(array, order, picture)
