"""What is read beside videos: presets, relay files, manifests, checkpoints and pictures. One intact file of each."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

_PRESET = """method = "grid"
model = "lanczos"
size = "1280x720"
pad = true
speed = "ultrafast"
crf = 20
confirm_frames = 2
source_buffer_frames = 4
latency_ms = 100
deinterlace = "auto"
repair = "pixelated,blocky"
"""
_RELAYS = """model = "turbo"

[relay.entrance]
in = "rtsp://viewer:secret@127.0.0.1/main"
out = "rtsp://127.0.0.1:8554/entrance"
timeout_s = 4.5

[relay.yard]
in = "rtsp://127.0.0.2/main"
out = "rtsp://127.0.0.1:8554/yard"
transport = "udp"
audio = false
latency_ms = 200
"""
_PICTURE_FORMATS = {"png": {}, "jpg": {"quality": 90}, "webp": {"lossless": True}, "bmp": {}, "tiff": {}}


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of file."""

    write: Callable[[Path], Path]
    """Writes an intact file to a folder; returns its path."""
    is_text: bool
    read: Callable[[Path], object] | None
    """Reads a file; None: the commands `detect` and `correct` do."""


def _text(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return write


def _read_preset(path: Path) -> None:
    from deepclarity.pipelines.preset import load_preset

    load_preset(str(path))


def _read_relays(path: Path) -> None:
    from deepclarity.pipelines.live.supervisor import read_relays

    read_relays(path)


def _write_manifest(folder: Path) -> Path:
    from importlib.resources import files

    (folder / "manifest.toml").write_bytes(files("deepclarity.weights").joinpath("manifest.toml").read_bytes()[:4000])
    return folder / "manifest.toml"


def _read_manifest(path: Path) -> None:
    from deepclarity.models.weights import read_manifest

    read_manifest(path.parent)


def _write_record(folder: Path) -> Path:
    entry = {
        "source": "/a.mp4", "source_size": 5, "source_mtime_ns": 6, "options": "x", "output": "a.mp4",
        "output_size": 7, "output_mtime_ns": 8, "damaged": 0,
    }  # fmt: skip
    path = folder / ".deepclarity-batch.jsonl"
    path.write_text((json.dumps(entry) + "\n") * 3, encoding="utf-8")
    return path


def _read_record(path: Path) -> None:
    from deepclarity.pipelines.batch.files import BatchFile
    from deepclarity.pipelines.batch.manifest import Manifest

    with Manifest(path.parent) as manifest:
        manifest.finished(BatchFile(path, path.parent / "a.mp4"), "x")


def _write_checkpoint(folder: Path) -> Path:
    import safetensors.numpy

    rng, path = np.random.default_rng(3), folder / "model.safetensors"
    tensors = {f"body.{n}.weight": rng.random((4, 4, 3, 3), np.float32) for n in range(3)}
    safetensors.numpy.save_file(tensors, path, metadata={"license": "CC0-1.0", "scale": "2"})
    return path


def _read_checkpoint(path: Path) -> None:
    from deepclarity.models.weights import read_model_file, read_tensors, safetensors_metadata

    safetensors_metadata(read_model_file(path))
    read_tensors(path)


def _picture(ending: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        y, x = np.mgrid[0:60, 0:80] // 4 * 4
        rgb = np.stack([np.sin((x * k + y * (4 - k)) / 9) * 100 + 120 for k in (1, 2, 3)], axis=2).astype(np.uint8)
        buffer = io.BytesIO()
        kind = {"jpg": "jpeg"}.get(ending, ending)
        Image.fromarray(rgb).save(buffer, kind, **_PICTURE_FORMATS[ending])  # type: ignore[arg-type]
        (folder / f"source.{ending}").write_bytes(buffer.getvalue())
        return folder / f"source.{ending}"

    return write


READERS = {
    "preset": Reader(_text("preset.toml", _PRESET), True, _read_preset),
    "relays": Reader(_text("relays.toml", _RELAYS), True, _read_relays),
    "manifest": Reader(_write_manifest, True, _read_manifest),
    "record": Reader(_write_record, True, _read_record),
    "checkpoint": Reader(_write_checkpoint, False, _read_checkpoint),
    **{ending: Reader(_picture(ending), False, None) for ending in _PICTURE_FORMATS},
}
