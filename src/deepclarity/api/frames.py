"""Public API for frames in memory: `repair` runs the pipeline on any iterable of arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import cast

from deepclarity.errors import UsageError
from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.verdict import Detector
from deepclarity.pipelines.detect import detect
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.load_executor import load_reducer_for
from deepclarity.pipelines.records import FrameRecord, Summary
from deepclarity.pipelines.report.recorder import frame_record
from deepclarity.pipelines.route import FrameSelection, Routing, parse_repair, route
from deepclarity.stream.frame import Frame

from .arrays import ColourImage, Image, Order, check_order, colour_image
from .networks import as_detector, as_enhancer, stream_executor


def repair(
    frames: Iterable[Image],
    *,
    rate: float | Fraction = 30,
    model: Enhancer | str | os.PathLike[str] = "auto",
    detector: Detector | str = DEFAULT_DETECTOR,
    device: str = "auto",
    which: str = "pixelated",
    repair: str = "pixelated,blocky",
    size: tuple[int, int] | None = None,
    order: Order = "bgr",
    look_ahead: int = 2,
    on_frame: Callable[[FrameRecord], None] | None = None,
) -> Iterator[Image]:
    """Repair the pixelated frames of a sequence of arrays: detect, route, repair, in order.

    Args:
        frames: Arrays of one shape, (height, width, 3), (height, width, 4) or (height, width), uint8 or uint16. At
            most `look_ahead` + 1 of them are held; they must not be overwritten meanwhile.
        rate: Frames per second; the routing's hold time is counted by it.
        model: Tier or path of a model file, loaded once and kept, or what `load_enhancer` returned. `auto` is `turbo`
            on the CPU.
        detector: Name of a method, or what `load_detector` returned.
        device: Where a tier given by name runs: `auto`, `cpu`, `cuda` or `cuda:N`.
        which: Frames to repair: `pixelated`, `all` or `none`.
        repair: Kinds to repair, of `pixelated,blocky,soft`.
        size: (width, height) of every frame of the result; None keeps the size.
        order: Channel order of colour arrays, `bgr` (OpenCV) or `rgb` (Pillow).
        look_ahead: Frames that confirm a switch between repairing and passing; 0 adds no delay.
        on_frame: Called with the record of each frame (verdict, lane) before the frame is yielded.

    Yields:
        One array per input frame, in order, of its dtype, layout and order. A frame that passes is the very array
        that came in.

    Raises:
        UsageError: A frame's shape or dtype, or a name, cannot be used.
        DeviceError: The device failed on several frames in a row. An error of `frames` itself is raised unchanged,
            after the frames that came before it.
    """
    if rate <= 0:
        raise UsageError(f"rate {rate}: use frames per second, above 0.")
    if look_ahead < 0:
        raise UsageError(f"look_ahead {look_ahead}: use 0 or more.")
    if which not in set(FrameSelection):
        raise UsageError(f"which '{which}': use {', '.join(FrameSelection)}.")
    if size is not None and min(size) < 2:
        raise UsageError(f"size {size}: use (width, height), at least 2 each.")
    check_order(order)
    chosen = FrameSelection(which)
    method = None if chosen is FrameSelection.NONE else as_detector(detector)
    enhancer = None if chosen is FrameSelection.NONE else as_enhancer(model, device)
    routing = Routing(which=chosen, confirm_frames=look_ahead, repair=parse_repair(repair, where="repair"))
    arriving = _frames(frames, order, Fraction(rate).limit_denominator(100_000))
    return _repaired(arriving, method, enhancer, routing=routing, size=size, on_frame=on_frame)


def _frames(arrays: Iterable[Image], order: Order, rate: Fraction) -> Iterator[Frame]:
    """Each array as a frame of the pipeline, which carries the validated array with it."""
    shape: tuple[int, ...] | None = None
    for index, array in enumerate(arrays):
        image = colour_image(array, order, name=f"frame {index}")
        shape = shape or image.array.shape
        if image.array.shape != shape:
            raise UsageError(f"frame {index}: shape {image.array.shape}, but the first frame had {shape}.")
        yield Frame(
            planes=image.picture.planes,
            index=index,
            pts=index,
            time_base=1 / rate,
            duration=1,
            depth=8 * image.picture.pixels.dtype.itemsize,
            subsampling=(1, 1),
            full_range=True,
            picture=image,
        )


def _repaired(
    frames: Iterator[Frame],
    detector: Detector | None,
    enhancer: Enhancer | None,
    *,
    routing: Routing,
    size: tuple[int, int] | None,
    on_frame: Callable[[FrameRecord], None] | None,
) -> Iterator[Image]:
    summary = Summary()
    first = next(frames, None)
    if first is None:
        return
    fit = Fit(size or first.size, size or first.size, first.size)
    images: list[ColourImage] = []
    scored = detect(_kept(first, frames, images), detector, summary)
    routed = route(scored, routing, resize=fit.resizes, enlarge=fit.enlarges, summary=summary)
    executor = stream_executor(enhancer) if enhancer is not None else None
    reducer = None
    if executor is not None and routing.which is FrameSelection.PIXELATED:
        reducer = load_reducer_for(executor, routing.repair)
    for done in enhance(routed, executor, fit, summary, reducer=reducer):
        if on_frame is not None:
            on_frame(frame_record(done.routed))
        yield _array(done.frame, images.pop(0))


def _kept(first: Frame, others: Iterator[Frame], images: list[ColourImage]) -> Iterator[Frame]:
    """The frames, the array of each put aside until its repaired planes come out."""
    images.append(cast("ColourImage", first.picture))
    yield first
    for frame in others:
        images.append(cast("ColourImage", frame.picture))
        yield frame


def _array(frame: Frame, image: ColourImage) -> Image:
    """The caller's own array where nothing touched the frame, else its planes in the caller's layout."""
    if frame.picture is image:
        return image.array
    return image.like(image.picture.with_planes(frame.planes, before=image.picture.planes))
