"""The models in a folder: what each is, and how fast it runs here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepclarity.errors import DeepClarityError, UsageError
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import load_enhancer
from deepclarity.models.weights import parse_tensors, read_model_file, safetensors_metadata

from .enhancer import ExternalEnhancer
from .load import SUFFIXES
from .network import NetworkInfo, licence_of

MEASURED_SIZE = (480, 270)
"""(width, height) of the picture by which speed is measured: a quarter of Full HD along each side."""
_SLOW_S = 3.0
_WARM_UP, _RUNS = 2, 3
"""Pictures before and while time is taken: by the third, a model has been compiled and checked."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of the folder."""

    file: str
    info: NetworkInfo | None = None
    """None if it cannot be loaded."""
    frames_per_s: float | None = None
    """Pictures of `MEASURED_SIZE` per second, conversion of colour included; None if it failed on one."""
    problem: str = ""
    """Why it cannot be used, in one line."""


def model_files(folder: Path) -> list[Path]:
    """The model files in `folder`, by name; UsageError if it is no folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder. Check the path.")
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read ({error.strerror}). Check its permissions.") from error


def list_models(folder: Path, *, device: str = "cpu") -> Iterator[Listed]:
    """Load, describe and measure one model file of `folder` after the other; a file that fails is listed, too."""
    for path in model_files(folder):
        try:
            on = "cpu" if path.suffix.lower() == ".onnx" else device
            with closing(load_enhancer(str(path), device=on)) as enhancer:
                yield Listed(path.name, _info(enhancer, path), _frames_per_s(enhancer))
        except DeepClarityError as error:
            yield Listed(path.name, problem=str(error))


def _info(enhancer: Enhancer, path: Path) -> NetworkInfo:
    if isinstance(enhancer, ExternalEnhancer):
        return enhancer.info
    content = read_model_file(path)
    metadata = safetensors_metadata(content)
    parameters = sum(tensor.size for tensor in parse_tensors(content, path.name).values())
    architecture = metadata.get("architecture", "DeepClarity")
    return NetworkInfo(path.name, architecture, max(enhancer.scales), 1, parameters, licence_of(metadata))


def _frames_per_s(enhancer: Enhancer) -> float:
    """Pictures per second once warm; of a slow model, the first picture counts."""
    width, height = MEASURED_SIZE
    luma = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)

    def seconds() -> float:
        start = time.perf_counter()
        enhancer(luma, scale=enhancer.scales[-1])
        return time.perf_counter() - start

    first = seconds()
    if first > _SLOW_S:
        return 1 / first
    for _ in range(_WARM_UP):
        seconds()
    return 1 / statistics.median(seconds() for _ in range(_RUNS))
