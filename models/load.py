"""Loading of enhancers by name: choice of weights, device and back end."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from deepclarity.errors import DeviceError, UsageError, WeightsError, did_you_mean

from .backends.lanczos import Lanczos
from .enhancer import Enhancer
from .export.spec import described_generator
from .external.load import check_model_file, is_model_file, load_model_file, scale_in_name
from .generator import FAMILIES, Generator, Tensors
from .weights import (
    Record,
    file_sha256,
    load_weights,
    parse_tensors,
    read_manifest,
    read_model_file,
    safetensors_metadata,
)

DEFAULT_ENHANCERS = {"cpu": "turbo", "cuda": "srgan"}
"""The tier that `auto` selects on each kind of device: the best one that reaches real time in Full HD there."""

_log = logging.getLogger(__name__)

_BACKENDS = ("auto", "openvino", "torch")


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One entry of the list of models."""

    name: str
    kind: str
    """`enhancer` or `detector`."""
    scales: tuple[int, ...]
    parameters: int
    bytes: int
    licence: str
    trained_on: str
    note: str


def available_models() -> list[ModelInfo]:
    """All models that can be loaded by name, those without weights first."""
    lanczos = ModelInfo("lanczos", "enhancer", Lanczos.scales, 0, 0, "-", "-", "interpolation: fallback and baseline")
    return [lanczos, *(_info(record) for record in read_manifest().values())]


def check_enhancer(name: str) -> None:
    """Raise UsageError if `load_enhancer` does not know `name`, or there is no file of a model at that path."""
    if is_model_file(name):
        check_model_file(name)
        return
    known = {"auto", "lanczos", *(key for key, record in read_manifest().items() if record.kind == "enhancer")}
    if name not in known:
        raise UsageError(f"unknown model '{name}'; {did_you_mean(name, known)}")


def load_enhancer(name: str, *, device: str = "auto", backend: str = "auto") -> Enhancer:
    """Load the enhancer called `name` (`auto`, `lanczos`, `turbo`, …), or the model in the file of that path.

    `device` is `auto`, `cpu`, `cuda` or `cuda:N`; `backend` is `auto`, `openvino` or `torch`. `auto` chooses
    the first NVIDIA GPU that torch can use, else OpenVINO on the CPU, else torch on the CPU; torch is
    imported only if needed. A model file has its own back end: spandrel for `.pth` and `.safetensors`, OpenVINO for
    `.onnx`. Raises UsageError for an unknown name, DeviceError if the device cannot be used, WeightsError for a file
    that holds no usable model.
    """
    check_enhancer(name)
    _check_options(device, backend)
    if name == "lanczos":
        return Lanczos()
    if is_model_file(name):
        return _from_file(name, device=device)
    if device == "auto":
        return _on_any_device(name, backend=backend)
    return _on_device(name, device=device, backend=backend)


def weights_sha256(name: str) -> str:
    """The SHA-256 of the weights of a tier, or of a model's file; `-` for a tier without weights."""
    if is_model_file(name):
        return file_sha256(Path(name))
    record = read_manifest().get(name)
    return record.sha256 if record else "-"


def _from_file(name: str, *, device: str) -> Enhancer:
    """The model in a file, on the GPU if one works and was not ruled out, else on the CPU."""
    chosen = "cpu" if name.lower().endswith(".onnx") and device == "auto" else usable_device(device)
    try:
        enhancer = _exported(name, device=chosen) or load_model_file(name, device=chosen)
    except DeviceError as error:
        if device != "auto" or chosen == "cpu":
            raise
        _log.warning("%s; using the CPU instead", error)
        enhancer = _exported(name, device="cpu") or load_model_file(name, device="cpu")
    if scale_in_name(name) not in (None, *enhancer.scales):
        _log.warning("%s: enlarges by %d, not by what its name says", name, enhancer.scales[0])
    return enhancer


def _exported(name: str, *, device: str) -> Enhancer | None:
    """The tier in a safetensors file that `deepclarity export` wrote; None if the file is another program's."""
    if not name.lower().endswith(".safetensors"):
        return None
    content = read_model_file(Path(name))
    described = described_generator(safetensors_metadata(content), name=name)
    if described is None:
        return None
    net, ranges = described
    tensors = parse_tensors(content, name)
    label = Path(name).name if device == "cpu" else name  # after a failure of the GPU it is loaded again by its name
    return _run_on(net, tensors, label, int8_ranges=ranges, device=device, backend="auto")


def usable_device(device: str) -> str:
    """`device`, with `auto` replaced by `cuda` where torch can use a GPU, else by `cpu`; UsageError if unknown."""
    _check_options(device, "auto")
    if device != "auto":
        return device
    return "cuda" if _cuda_usable() else "cpu"


def _on_device(name: str, *, device: str, backend: str) -> Enhancer:
    record, tensors = load_weights(DEFAULT_ENHANCERS[device.partition(":")[0]] if name == "auto" else name)
    net = generator_from(record)
    return _run_on(net, tensors, record.name, int8_ranges=record.int8_ranges, device=device, backend=backend)


def _run_on(
    net: Generator, tensors: Tensors, name: str, *, int8_ranges: tuple[float, ...], device: str, backend: str
) -> Enhancer:
    if backend == "auto":
        openvino_fits = device == "cpu" and importlib.util.find_spec("openvino") is not None
        backend = "openvino" if openvino_fits else "torch"
    if backend == "openvino":
        try:
            from .backends.openvino import OpenVinoGenerator
        except ImportError as error:
            raise DeviceError(f"OpenVINO cannot be used here ({error}); use the torch back end") from error
        return OpenVinoGenerator(net, tensors, name=name, int8_ranges=int8_ranges)
    from .backends.torch import TorchGenerator  # 1.2 s of imports that the default path does not need

    return TorchGenerator(net, tensors, name=name, device=device)


def _on_any_device(name: str, *, backend: str) -> Enhancer:
    """The GPU if one works, else the CPU: a GPU may be listed and yet be too old, or out of memory."""
    if backend != "openvino" and _cuda_usable():
        try:
            return _on_device(name, device="cuda", backend=backend)
        except DeviceError as error:
            _log.warning("%s; using the CPU instead", error)
    return _on_device(name, device="cpu", backend=backend)


def _check_options(device: str, backend: str) -> None:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise UsageError(f"unknown device '{device}'; {did_you_mean(device, ('auto', 'cpu', 'cuda', 'cuda:0'))}")
    if backend not in _BACKENDS:
        raise UsageError(f"unknown back end '{backend}'; {did_you_mean(backend, _BACKENDS)}")
    if backend == "openvino" and device.startswith("cuda"):
        raise UsageError(f"the openvino back end runs on the CPU, not on '{device}'; use torch for GPUs")


def _cuda_usable() -> bool:
    """Whether torch can use an NVIDIA GPU; torch is imported only if a driver is found."""
    if not _nvidia_driver_found():
        return False
    import torch

    return torch.cuda.is_available()


def _nvidia_driver_found() -> bool:
    if sys.platform == "win32":
        try:
            ctypes.CDLL("nvcuda.dll")
        except OSError:
            return False
        return True
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/dxg"))  # Linux; WSL


def generator_from(record: Record) -> Generator:
    """The network that a manifest record describes; WeightsError if this version does not know it."""
    numbers = record.architecture
    if record.family not in FAMILIES or set(numbers) != {"blocks", "channels", "fold"}:
        raise WeightsError(f"{record.name}: unknown architecture '{record.family}'")
    return Generator(record.family, scales=record.scales, **numbers)


def _info(record: Record) -> ModelInfo:
    return ModelInfo(
        name=record.name,
        kind=record.kind,
        scales=record.scales,
        parameters=record.parameters,
        bytes=record.bytes,
        licence=record.licence,
        trained_on=record.trained_on,
        note=record.note,
    )
