"""What to export, and what the result promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepclarity.errors import UsageError, WeightsError
from deepclarity.models.colour import YCbCr
from deepclarity.models.generator import FAMILIES, Generator
from deepclarity.models.weights import Record

FORMATS = ("onnx", "torchscript", "safetensors")

ARCHITECTURE_KEY = "deepclarity.architecture"
"""Key of the metadata of an exported safetensors file under which its architecture is described, as JSON."""


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """The options of one export."""

    format: str
    """One of `FORMATS`."""
    scale: int
    """The factor; a safetensors file holds all of the tier's."""
    rgb: bool = False
    """Take and return R'G'B' instead of luma: the network enlarges luma, cubic interpolation chroma."""
    half: bool = False
    """Compute in float16; input and output stay float32."""
    size: tuple[int, int] | None = None
    """(width, height) of the only input that is accepted; None: any."""

    @property
    def channels(self) -> int:
        """Channels of input and output."""
        return 3 if self.rgb else 1

    def check(self) -> None:
        """Raise UsageError for options that exclude each other."""
        if self.format == "safetensors" and (self.rgb or self.size):
            raise UsageError("--rgb, --size: a safetensors file holds weights alone; use --format onnx or torchscript.")
        if self.format == "torchscript" and self.size:
            raise UsageError("--size: a TorchScript file accepts any size; use --format onnx for a fixed one.")


def metadata_of(record: Record, spec: ExportSpec) -> dict[str, str]:
    """The metadata of an exported file: what a user or another program needs to know."""
    metadata = {
        "architecture": f"DeepClarity {record.family}",
        "license": record.licence,
        "name": record.name,
        "trained_on": record.trained_on,
        "sha256_of_weights": record.sha256,
    }
    if spec.format == "safetensors":
        described = {"family": record.family, "scales": record.scales, "int8_ranges": record.int8_ranges}
        described.update(record.architecture)
        return {**metadata, ARCHITECTURE_KEY: json.dumps(described)}
    colours = "R'G'B'" if spec.rgb else "luma, Y'"
    layout = f"(n, {spec.channels}, height, width) float32 in 0..1, {colours}"
    return {**metadata, "scale": str(spec.scale), "input": layout, "output": layout}


def described_generator(metadata: Mapping[str, str], *, name: str) -> tuple[Generator, tuple[float, ...]] | None:
    """The network in the metadata of a safetensors file that was exported here, and its int8 ranges.

    None if the file is another program's; WeightsError if the description makes no sense.
    """
    if ARCHITECTURE_KEY not in metadata:
        return None
    try:
        described = json.loads(metadata[ARCHITECTURE_KEY])
        scales = tuple(int(scale) for scale in described["scales"])
        blocks, channels, fold = (int(described[key]) for key in ("blocks", "channels", "fold"))
        ranges = tuple(float(value) for value in described.get("int8_ranges", ()))
        family = str(described["family"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{name}: its description of the network cannot be read. Export it again.") from error
    in_bounds = 0 <= blocks <= 256 and 1 <= channels <= 1024 and 1 <= fold <= 4
    if family not in FAMILIES or not in_bounds or not scales or not set(scales) <= set(range(1, 9)):
        raise WeightsError(f"{name}: describes a network that this version does not know. Update DeepClarity.")
    return Generator(family, blocks, channels, tuple(sorted(set(scales))), fold), ranges


def rgb_to_ycc() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Full-range BT.601, all in 0..1: (3, 3) matrix and (3,) offset of Y', Cb, Cr from R'G'B'."""
    colour = YCbCr()
    basis = np.concatenate([np.zeros((1, 1, 3)), np.eye(3)[None]], axis=1).astype(np.float32)
    levels = colour.from_rgb(basis, max_value=65535)[0].astype(np.float64) / 65535
    return (levels[1:] - levels[0]).T.astype(np.float32), levels[0].astype(np.float32)


def ycc_to_rgb() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The inverse of `rgb_to_ycc`."""
    matrix, offset = (array.astype(np.float64) for array in rgb_to_ycc())
    inverse = np.linalg.inv(matrix)
    return inverse.astype(np.float32), (-inverse @ offset).astype(np.float32)
