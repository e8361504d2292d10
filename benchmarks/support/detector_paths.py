"""The detectors and filters that `detectors.py` compares, from a decoded Full HD frame to the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av.filter
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from deepclarity.errors import DeepClarityError
from deepclarity.models.detectors import DETECTORS, load_detector
from deepclarity.models.verdict import Detector
from deepclarity.stream.frame import Planes

FILTERS = {"FFmpeg blockdetect": "blockdetect", "FFmpeg null": "null"}
"""FFmpeg's filters; `null` does nothing: it measures the cost of pushing and reading frames."""
BLOCKDETECT = next(iter(FILTERS))
ALONE = ", network alone"


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame as the decoder hands it over."""

    index: int
    picture: VideoFrame
    planes: Planes
    """Views of `picture`."""


Way = Callable[[Shown], object]


def usable() -> Iterator[str]:
    """The methods and filters that work here; prints a line for each that does not."""
    for name in DETECTORS:
        try:
            load_detector(name)
        except (DeepClarityError, ImportError) as error:
            print(f"{name}: skipped: {error}")
        else:
            yield name
    for name, known_as in FILTERS.items():
        if known_as in av.filter.filters_available:
            yield name
        else:
            print(f"{name}: skipped: the FFmpeg of this PyAV has no such filter")


def ways(names: list[str], frames: list[Shown]) -> Iterator[tuple[str, Way]]:
    """Runners by name; the network of a method follows the method."""
    for name in names:
        if name in FILTERS:
            yield name, filtered(FILTERS[name])
            continue
        detector = load_detector(name)
        yield name, lambda shown, detector=detector: detector(shown.planes[0], chroma=shown.planes[1:])
        if alone := network_alone(detector, frames):
            yield name + ALONE, alone


def filtered(name: str) -> Way:
    """One of FFmpeg's filters: pushes a frame and reads it; the result is in its metadata."""
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(width=1920, height=1080, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25))
    graph.link_nodes(source, graph.add(name), graph.add("buffersink")).configure()

    def run(shown: Shown) -> float | None:
        graph.push(shown.picture)
        found = graph.take_out().metadata.get("lavfi.block")
        return None if found is None else float(found)

    return run


def network_alone(detector: Detector, frames: list[Shown]) -> Way | None:
    """A forward pass on preprocessed input, one frame at a time; None if the method has no network."""
    request = getattr(getattr(getattr(detector, "_network", None), "compiled", None), "request", None)
    prepare = {"lattice-net": _examines, "canny-mobilenet": _edges, "mobilenet": _colours}.get(detector.name)
    if request is None or prepare is None:
        return None
    inputs = [prepare(shown) for shown in frames]
    return lambda shown: request.infer(inputs[shown.index], share_inputs=True, share_outputs=True)[0]


def _examines(shown: Shown) -> list[NDArray[Any]]:
    from deepclarity.models.detectors.lattice_net import preprocess
    from deepclarity.models.detectors.lattice_net_openvino import input_channels

    found = preprocess(shown.planes[0])
    if found is None:
        raise SystemExit(f"frame {shown.index} is flat: there is nothing to show to the network")
    return [*input_channels(found[0]), found[0].evidence[None]]


def _edges(shown: Shown) -> list[NDArray[Any]]:
    from deepclarity.models.detectors.mobilenet import preprocess_edges

    return [preprocess_edges(shown.planes[0])[None]]


def _colours(shown: Shown) -> list[NDArray[Any]]:
    from deepclarity.models.detectors.mobilenet import preprocess_rgb

    return [preprocess_rgb(shown.planes[0], shown.planes[1:])[None]]
