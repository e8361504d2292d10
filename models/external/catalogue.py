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

from .enhancer import ExternalEnhancer
from .load import SUFFIXES, load_model_file
from .network import NetworkInfo

MEASURED_SIZE = (480, 270)
"""(width, height) of the picture by which speed is measured: a quarter of Full HD along each side."""
_ENOUGH_S, _MOST_RUNS = 1.0, 5


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
            with closing(load_model_file(str(path), device=on)) as enhancer:
                yield Listed(path.name, enhancer.info, _frames_per_s(enhancer))
        except DeepClarityError as error:
            yield Listed(path.name, problem=str(error))


def _frames_per_s(enhancer: ExternalEnhancer) -> float:
    width, height = MEASURED_SIZE
    luma = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    times: list[float] = []
    for _ in range(_MOST_RUNS + 1):
        start = time.perf_counter()
        enhancer(luma, scale=enhancer.scales[0])
        times.append(time.perf_counter() - start)
        if sum(times) > _ENOUGH_S and len(times) > 1:
            break
    return 1 / statistics.median(times[1:])  # the first call allocates and compiles
