"""Loading of a model file by its path."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from deepclarity.errors import DeviceError, UsageError
from deepclarity.models.export.spec import ARCHITECTURE_KEY
from deepclarity.models.weights import read_model_file, safetensors_metadata

from .enhancer import ColourEnhancer, ExternalEnhancer
from .network import Network

SUFFIXES = (".safetensors", ".pth", ".onnx")
"""Extensions of the model files that can be loaded, lower case."""
_OTHER_SUFFIXES = (".pt", ".ckpt", ".bin", ".param", ".pkl")
"""Extensions of model files that cannot be loaded: said so, instead of "unknown model"."""


def is_model_file(name: str) -> bool:
    """Whether `name` is meant as the path of a model file, not as the name of a tier."""
    return Path(name).suffix.lower() in (*SUFFIXES, *_OTHER_SUFFIXES) or "/" in name or "\\" in name


def check_model_file(name: str) -> None:
    """Raise UsageError if the file called `name` does not exist, or nothing installed can load it."""
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{name}: models are loaded from {', '.join(SUFFIXES)} files.")
    if not path.is_file():
        raise UsageError(f"{name}: no such file. Check the path of the model.")
    if suffix == ".onnx":
        _check_openvino()
    elif importlib.util.find_spec("spandrel") is None and not _is_exported(path):
        raise UsageError(f"{name}: models of this kind need spandrel: pip install 'deepclarity[models]'")


def load_model_file(name: str, *, device: str = "cpu") -> ExternalEnhancer:
    """Load the model in the file called `name` and test it on a small picture; nothing in the file is executed as code.

    Raises UsageError for a missing file or package, WeightsError for a file that is damaged, too large, no
    super-resolution model, or not what it claims to be; DeviceError if `device` cannot be used.
    """
    check_model_file(name)
    path = Path(name)
    content = read_model_file(path)
    suffix = path.suffix.lower()
    network: Network
    if suffix == ".onnx":
        if device.startswith("cuda"):
            from .onnx_cuda import CudaOnnxNetwork

            network = CudaOnnxNetwork(content, name=path.name, device=device)
        else:
            from .onnx_network import OnnxNetwork

            network = OnnxNetwork(content, name=path.name)
    else:
        from .spandrel_network import SpandrelNetwork  # imports torch

        network = SpandrelNetwork(content, suffix=suffix, name=path.name, device=device)
    return ColourEnhancer(network) if network.info.channels == 3 else ExternalEnhancer(network)


def scale_in_name(name: str) -> int | None:
    """The factor that a file's name states, as `4x-Model.pth` or `Model_x2.onnx` do; None if it states none."""
    found = re.search(r"(?<![a-z0-9])(?:x([1-8])|([1-8])x)(?![a-z0-9])", Path(name).stem.lower().replace("_", " "))
    return int(found[1] or found[2]) if found else None


def _is_exported(path: Path) -> bool:
    """Whether `deepclarity export` wrote the file: then it holds a tier, which needs no other package."""
    is_safe = path.suffix.lower() == ".safetensors"
    return is_safe and ARCHITECTURE_KEY in safetensors_metadata(read_model_file(path))


def _check_openvino() -> None:
    if importlib.util.find_spec("openvino") is None:
        raise DeviceError("ONNX models need OpenVINO, which is not installed here: pip install openvino")
