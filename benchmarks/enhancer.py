"""Claim: the tiers enlarge 480x270 to Full HD, luma and chroma, as fast as their table says.

Every tier on every available back end alternates with `cv2.resize` (bicubic) of all three planes; each is also given
as a share of the machine's convolution throughput at that time. OpenCV's FSRCNN is included if available.

    python benchmarks/enhancer.py [--rounds 8] [--fsrcnn FSRCNN_x4.pb] [--out benchmarks/results/enhancer.json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import openvino
from openvino import opset13 as ops
from support.machine import describe

from deepclarity.errors import DeepClarityError
from deepclarity.models.backends.openvino import OpenVinoGenerator
from deepclarity.models.load import available_models, generator_from, load_enhancer
from deepclarity.models.weights import load_weights, read_manifest
from deepclarity.pipelines.restore import restore
from deepclarity.stream.frame import Planes

SMALL, LARGE = (480, 270), (1920, 1080)
WARM_UP = 1
BURST = 6
"""Consecutive frames, as in a video; the first does not count."""


@dataclass(frozen=True)
class Entrant:
    """One way to enlarge a frame."""

    tier: str
    backend: str
    run: Callable[[Planes], object]
    gmac: float = 0.0


def frame() -> Planes:
    """Luma with edges and texture, and chroma."""
    rng = np.random.default_rng(0)
    luma = cv2.GaussianBlur(rng.integers(0, 256, SMALL[::-1]).astype(np.uint8), (0, 0), 1.5)
    half = (SMALL[1] // 2, SMALL[0] // 2)
    return luma, np.full(half, 100, np.uint8), np.full(half, 150, np.uint8)


def interpolated(planes: Planes) -> list[np.ndarray]:
    """Baseline without a network."""
    halves = (LARGE, (LARGE[0] // 2, LARGE[1] // 2), (LARGE[0] // 2, LARGE[1] // 2))
    return [cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC) for plane, size in zip(planes, halves, strict=True)]


def tiers(open_until: contextlib.ExitStack) -> Iterator[Entrant]:
    """Every tier on every available back end; the variants for the literature's protocol are as fast as these."""
    records = read_manifest()
    for model in available_models():
        if model.kind != "enhancer" or model.name.endswith("-bicubic"):
            continue
        for device, backend in (("cpu", "openvino"), ("cpu", "torch"), ("cuda", "torch")):
            if model.name == "lanczos" and (device, backend) != ("cpu", "openvino"):
                continue
            try:
                enhancer = load_enhancer(model.name, device=device, backend=backend)
            except DeepClarityError as error:
                print(f"{model.name} on {device} by {backend}: skipped: {error}")
                continue
            open_until.enter_context(contextlib.closing(enhancer))
            pixels = SMALL[0] * SMALL[1]
            record = records.get(model.name)
            gmac = generator_from(record).macs_per_pixel(4) * pixels / 1e9 if record else 0.0

            def run(planes: Planes, enhancer: object = enhancer) -> object:
                return restore(planes, enhancer=enhancer, blocks=None, size=LARGE, max_value=255)  # type: ignore[arg-type]

            yield Entrant(model.name, enhancer.backend, run, gmac)


def without_int8(open_until: contextlib.ExitStack) -> Iterator[Entrant]:
    """`turbo` in the processor's native floating point, without int8."""
    record, tensors = load_weights("turbo")
    net = generator_from(record)
    enhancer = open_until.enter_context(contextlib.closing(OpenVinoGenerator(net, tensors, name="turbo")))

    def run(planes: Planes) -> object:
        return restore(planes, enhancer=enhancer, blocks=None, size=LARGE, max_value=255)

    yield Entrant("turbo", enhancer.backend, run, net.macs_per_pixel(4) * SMALL[0] * SMALL[1] / 1e9)


def fsrcnn(model: Path | None) -> Iterator[Entrant]:
    """OpenCV's FSRCNN for luma, if this build of OpenCV has it and its model was given."""
    if model is None or not hasattr(cv2, "dnn_superres"):
        print("FSRCNN: skipped: needs opencv-contrib-python and --fsrcnn FSRCNN_x4.pb")
        return
    network = cv2.dnn_superres.DnnSuperResImpl_create()
    network.readModel(str(model))
    network.setModel("fsrcnn", 4)
    yield Entrant("FSRCNN", "opencv dnn", lambda planes: (network.upsample(planes[0]), interpolated(planes)[1:]))


def ceiling(precision: str) -> Callable[[], float]:
    """GMAC/s of a typical convolution: 3x3, 64 to 64 channels over 480x270, 8 in sequence."""
    data = ops.parameter([1, 64, SMALL[1], SMALL[0]], openvino.Type.f32)
    kernel = np.random.default_rng(0).standard_normal((64, 64, 3, 3)).astype(np.float32) * 0.05
    x = data
    for _ in range(8):
        weight = ops.constant(kernel)
        if precision == "int8":
            x = ops.fake_quantize(x, *(ops.constant(np.float32(v)) for v in (0, 4, 0, 4)), 256)
            weight = ops.fake_quantize(weight, *(ops.constant(np.float32(v)) for v in (-0.3, 0.3, -0.3, 0.3)), 255)
        x = ops.relu(ops.convolution(x, weight, [1, 1], [1, 1], [1, 1], [1, 1]))
    hint = {"INFERENCE_PRECISION_HINT": "f32" if precision in ("int8", "fp32") else precision}
    model = openvino.Model([x], [data], "ceiling")
    request = openvino.Core().compile_model(model, "CPU", hint).create_infer_request()
    values = np.random.default_rng(1).random((1, 64, SMALL[1], SMALL[0]), dtype=np.float32)

    def go() -> float:
        began = time.perf_counter()
        request.infer([values], share_inputs=True, share_outputs=True)
        return 8 * kernel.size * SMALL[0] * SMALL[1] / 1e9 / (time.perf_counter() - began)

    return go


def compare(entrants: list[Entrant], rounds: int) -> list[dict[str, object]]:
    """Alternate between all entries and ceilings within a round, so that a slow phase affects all alike."""
    planes, took = frame(), [list[float]() for _ in entrants]
    limits = {name: ceiling(name) for name in ("fp32", "bf16", "int8")}
    reached: dict[str, list[float]] = {name: [] for name in limits}
    for turn in range(rounds + WARM_UP):
        for times, entrant in zip(took, entrants, strict=True):
            for frame_number in range(BURST):
                began = time.perf_counter()
                entrant.run(planes)
                if turn >= WARM_UP and frame_number:  # the first one finds the caches cold
                    times.append(time.perf_counter() - began)
        for name, go in limits.items():
            reached[name] += [go(), go()]
    ceilings = {name: statistics.median(values[2 * WARM_UP :]) for name, values in reached.items()}
    rows = [row(entrant, times, ceilings) for entrant, times in zip(entrants, took, strict=True)]
    return [*rows, {"ceiling_gmac_per_s": {name: round(value) for name, value in ceilings.items()}}]


def row(entrant: Entrant, times: list[float], ceilings: dict[str, float]) -> dict[str, object]:
    """Result record of one entry."""
    seconds = statistics.median(times)
    precision = next((name for name in ceilings if name in entrant.backend.replace("f32", "fp32")), None)
    on_cpu = "cuda" not in entrant.backend
    share = entrant.gmac / seconds / ceilings[precision] if precision and entrant.gmac and on_cpu else None
    found: dict[str, object] = {
        "tier": entrant.tier,
        "backend": entrant.backend,
        "gmac": round(entrant.gmac, 2),
        "median_ms": round(seconds * 1000, 2),
        "slowest_ms": round(max(times) * 1000, 2),
        "frames_per_s": round(1 / seconds, 1),
        "share_of_ceiling": round(share, 3) if share else None,
    }
    print(found, flush=True)
    return found


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--fsrcnn", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "enhancer.json")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        baseline = Entrant("bicubic", "opencv", interpolated)
        *rows, ceiling = compare([baseline, *fsrcnn(chosen.fsrcnn), *tiers(stack), *without_int8(stack)], chosen.rounds)
    result = {
        "claim": "480x270 to 1920x1080, luma and chroma, one frame at a time",
        "machine": describe(),
        "settings": {"rounds": chosen.rounds, "warm_up_rounds": WARM_UP, "frames_in_a_row": BURST - 1},
        **ceiling,
        "tiers": rows,
    }
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
