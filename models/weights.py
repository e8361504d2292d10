"""Model weights by name: recorded in `manifest.toml`, verified by SHA-256 before use, never unpickled."""

from __future__ import annotations

import hashlib
import json
import struct
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from deepclarity.errors import UsageError, WeightsError, did_you_mean

from .generator import Tensors

MAX_MODEL_BYTES = 2 * 2**30
"""Size of an external model's file and of its tensors in memory above which it is refused."""


@dataclass(frozen=True, slots=True)
class Record:
    """The manifest entry of one set of weights."""

    name: str
    kind: str
    """`enhancer` or `detector`."""
    family: str
    """The architecture that the numbers below describe: `turbo`, …"""
    architecture: Mapping[str, Any]
    file: str
    bytes: int
    sha256: str
    parameters: int
    licence: str
    trained_on: str
    measured: str
    note: str
    scales: tuple[int, ...] = field(default=())
    """The factors an enhancer was trained for; empty for a detector."""
    int8_ranges: tuple[float, ...] = field(default=())
    """Highest input, from 0, of each of `Generator.int8_layers` on training photos; empty: no int8."""


def read_manifest(folder: Traversable | None = None) -> dict[str, Record]:
    """All records of `manifest.toml` by name; `folder` defaults to the installed weights."""
    folder = folder or files("deepclarity.weights")
    try:
        table = tomllib.loads(folder.joinpath("manifest.toml").read_text(encoding="utf-8"))
        return {name: _record(name, entry) for name, entry in table.items()}
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"weights/manifest.toml cannot be used ({error}); reinstall deepclarity") from error


def load_weights(name: str, *, folder: Traversable | None = None) -> tuple[Record, Tensors]:
    """Load the record and the float32 tensors called `name`; size and SHA-256 are checked.

    Raises UsageError for an unknown name, WeightsError for a file that is missing, damaged or not safetensors.
    """
    records = read_manifest(folder)
    if name not in records:
        raise UsageError(f"unknown weights '{name}'; {did_you_mean(name, records)}")
    record = records[name]
    content = _checked_bytes(record, folder or files("deepclarity.weights"))
    return record, parse_tensors(content, record.file)


def read_tensors(path: Path) -> Tensors:
    """Load the tensors of your own safetensors file, as float32, without a manifest to check them against."""
    try:
        return parse_tensors(path.read_bytes(), str(path))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error


def read_model_file(path: Path) -> bytes:
    """The content of an external model's file; WeightsError if it is missing, empty or larger than 2 GiB."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise WeightsError(f"{path}: not a file. Check the path.")
        if size > MAX_MODEL_BYTES:
            raise WeightsError(f"{path}: {size / 2**30:.1f} GiB; models of up to 2 GiB are loaded.")
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    if not content:
        raise WeightsError(f"{path}: is empty. Get the file again.")
    return content


def safetensors_metadata(content: bytes) -> dict[str, str]:
    """The metadata in the header of a `.safetensors` file; empty if there is none, or the header is damaged."""
    try:
        (length,) = struct.unpack("<Q", content[:8])
        header = json.loads(content[8 : 8 + min(length, len(content))])
        metadata = header.get("__metadata__", {})
        return {str(key): str(value) for key, value in metadata.items()}
    except (struct.error, ValueError, AttributeError, RecursionError):
        return {}


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; WeightsError if it cannot be read."""
    return hashlib.sha256(read_model_file(path)).hexdigest()


def parse_tensors(content: bytes, name: str) -> Tensors:
    """The tensors in the content of a safetensors file, as float32; WeightsError if it is damaged."""
    try:
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"{name} is not a usable safetensors file of float32 or float16 ({error})") from error
    return {key: np.asarray(value, dtype=np.float32) for key, value in tensors.items()}


def _record(name: str, entry: dict[str, Any]) -> Record:
    return Record(name=name, **{**entry, **{key: tuple(entry.get(key, ())) for key in ("scales", "int8_ranges")}})


def _checked_bytes(record: Record, folder: Traversable) -> bytes:
    if not record.file.endswith(".safetensors"):
        raise WeightsError(f"{record.file}: only .safetensors files are loaded; pickled weights can execute code")
    try:
        content = folder.joinpath(record.file).read_bytes()
    except OSError as error:
        raise WeightsError(f"{record.file} is missing or unreadable ({error}); reinstall deepclarity") from error
    if len(content) != record.bytes:
        raise WeightsError(f"{record.file} has {len(content)} bytes, not {record.bytes}; reinstall deepclarity")
    if hashlib.sha256(content).hexdigest() != record.sha256:
        raise WeightsError(f"{record.file} does not match its SHA-256 in the manifest; reinstall deepclarity")
    return content
