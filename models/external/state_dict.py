"""Tensors of an external model's file. Pickled code is never executed, and sizes are checked before memory is used."""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from deepclarity.errors import WeightsError
from deepclarity.models.backends.checks import first_line
from deepclarity.models.weights import MAX_MODEL_BYTES

StateDict = dict[str, Any]

_WRAPPERS = ("params_ema", "params", "state_dict", "model", "net", "model_state_dict")
"""Keys under which training programs put the tensors, those for inference first."""


def read_pth(content: bytes, name: str) -> StateDict:
    """The tensors of a `.pth` file by name, on the CPU.

    PyTorch's restricted unpickler constructs tensors and plain containers only. Raises WeightsError for anything else
    in the file, and for tensors that would take more than 2 GiB.
    """
    _check_archive(content, name)
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file can make the unpickler fail in any way
        raise WeightsError(
            f"{name}: not a file of weights alone, so it is not loaded ({_reason(error)}). Convert it to .safetensors."
        ) from error
    return _checked(loaded, name)


def read_safetensors(content: bytes, name: str) -> StateDict:
    """The tensors of a `.safetensors` file by name, on the CPU; WeightsError if it is damaged."""
    try:
        loaded = safetensors.torch.load(content)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsError(f"{name}: not a usable safetensors file ({_reason(error)}).") from error
    return _checked(loaded, name)


def _check_archive(content: bytes, name: str) -> None:
    """Refuse a ZIP archive that expands to more than it holds."""
    if not content.startswith(b"PK"):
        return  # the format before PyTorch 1.6: no archive
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            expanded = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{name}: damaged archive ({_reason(error)}). Get the file again.") from error
    if expanded > MAX_MODEL_BYTES or expanded > 2 * len(content) + 2**20:
        raise WeightsError(f"{name}: {len(content)} bytes expand to {expanded}; PyTorch does not write such files.")


def _checked(loaded: object, name: str) -> StateDict:
    """`loaded` without wrappers, if it is a dictionary of tensors of a size that fits in memory."""
    for key in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if not isinstance(loaded, dict):
        raise WeightsError(f"{name}: holds {type(loaded).__name__}, not a dictionary of tensors.")
    tensors = {key: value for key, value in loaded.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{name}: holds no tensors.")
    # A tensor may repeat one stored value over any shape: its shape counts, not its storage.
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if size > MAX_MODEL_BYTES:
        raise WeightsError(f"{name}: its tensors would take {size / 2**30:.1f} GiB; models of up to 2 GiB are loaded.")
    highest = max((int(number) for key in tensors for number in re.findall(r"\d{1,12}", key)), default=0)
    if highest > 16 * len(tensors) + 1000:  # the number of layers follows from the highest index
        raise WeightsError(f"{name}: names layer {highest} but holds {len(tensors)} tensors; not a model's weights.")
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise WeightsError(f"{name}: '{key}' contains NaN or infinite values. Get the file again.")
    return tensors


def _reason(error: Exception) -> str:
    """The first sentence of a third-party error."""
    sentence = first_line(error).split(". ")[0][:160]
    return sentence if any(letter.isalpha() for letter in sentence) else type(error).__name__
