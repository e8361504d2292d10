"""Export of the tiers: what other programs compute with the files is what the tiers compute."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepclarity.cli.app import run
from deepclarity.errors import StageError, UsageError, WeightsError
from deepclarity.models.backends.torch import TorchGenerator
from deepclarity.models.detectors import load_detector
from deepclarity.models.export.export import export_tier
from deepclarity.models.export.spec import ARCHITECTURE_KEY, ExportSpec, described_generator, rgb_to_ycc, ycc_to_rgb
from deepclarity.models.load import generator_from, load_enhancer
from deepclarity.models.weights import load_weights, safetensors_metadata
from deepclarity.pipelines.correct import correct
from deepclarity.stream.files.still import Picture
from tests.commands import expect_error

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'deepclarity[export]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def by_onnx_runtime(content: bytes, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(channels, h, w) to (channels, h * scale, w * scale)."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"input": pixels[None]})[0][0], np.float32)


def luma_picture(size: tuple[int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(5)
    return np.asarray(cv2.resize(rng.integers(0, 256, (9, 13)).astype(np.uint8), size), np.uint8)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize(("tier", "scale"), [("turbo", 2), ("turbo", 3), ("srgan", 4), ("srgan-lite", 4)])
@pytest.mark.parametrize("size", [(61, 47), (40, 32)])
def test_onnx_runtime_equals_the_tier(tier: str, scale: int, half: bool, size: tuple[int, int]) -> None:
    luma = luma_picture(size)
    exported = export_tier(tier, ExportSpec("onnx", scale, half=half))
    record, tensors = load_weights(tier)
    expected = TorchGenerator(generator_from(record), tensors)(luma, scale=scale)
    large = by_onnx_runtime(exported.content, luma[None].astype(np.float32) / 255)[0]
    assert large.dtype == np.float32
    assert np.abs(np.rint(large * 255) - expected).max() <= 1
    assert exported.difference <= 1
    assert exported.checked_with == "onnxruntime"


def test_a_file_of_fixed_size_accepts_that_size_only() -> None:
    content = export_tier("turbo", ExportSpec("onnx", 2, size=(50, 34))).content
    assert by_onnx_runtime(content, np.zeros((1, 34, 50), np.float32)).shape == (1, 68, 100)
    shape = onnx.load_from_string(content).graph.input[0].type.tensor_type.shape
    assert [axis.dim_value for axis in shape.dim] == [1, 1, 34, 50]
    with pytest.raises(Exception, match="invalid dimensions"):
        by_onnx_runtime(content, np.zeros((1, 35, 50), np.float32))


@pytest.mark.parametrize("form", ["onnx", "torchscript"])
def test_an_rgb_export_equals_correct(painting: NDArray[np.uint8], form: str) -> None:
    small = np.asarray(cv2.resize(painting, (131, 55), interpolation=cv2.INTER_AREA), np.uint8)
    pixels = np.ascontiguousarray(small.transpose(2, 0, 1), np.float32) / 255
    content = export_tier("turbo", ExportSpec(form, 3, rgb=True)).content
    large = by_onnx_runtime(content, pixels) if form == "onnx" else by_torch(content, pixels)
    record, tensors = load_weights("turbo")
    result = correct(
        Picture(np.ascontiguousarray(small[:, :, ::-1]).astype(np.uint16) * 257),
        detector=load_detector("grid"),
        enhancer=TorchGenerator(generator_from(record), tensors),
        scale=3,
        force=True,
    )
    expected = result.picture.pixels[:, :, ::-1].transpose(2, 0, 1) / 257
    assert np.abs(large * 255 - expected).max() <= 1


def by_torch(content: bytes, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore", DeprecationWarning)
        result: NDArray[np.float32] = torch.jit.load(io.BytesIO(content))(torch.from_numpy(pixels)[None])[0].numpy()
    return result


@pytest.mark.parametrize("half", [False, True])
def test_torchscript_serves_every_size(half: bool) -> None:
    content = export_tier("turbo", ExportSpec("torchscript", 2, half=half)).content
    record, tensors = load_weights("turbo")
    tier = TorchGenerator(generator_from(record), tensors)
    for size in ((33, 21), (64, 64)):
        luma = luma_picture(size)
        large = by_torch(content, luma[None].astype(np.float32) / 255)[0]
        assert np.abs(np.rint(large * 255) - tier(luma, scale=2)).max() <= 1


@pytest.mark.parametrize("half", [False, True])
def test_exported_weights_are_a_model_file(tmp_path: Path, half: bool) -> None:
    path = tmp_path / "mine.safetensors"
    path.write_bytes(export_tier("turbo", ExportSpec("safetensors", 2, half=half)).content)
    mine, tier = load_enhancer(str(path), device="cpu"), load_enhancer("turbo", device="cpu")
    luma = luma_picture((70, 50))
    assert (mine.name, mine.backend, mine.scales) == ("mine.safetensors", tier.backend, tier.scales)
    assert np.abs(mine(luma, scale=3).astype(int) - tier(luma, scale=3)).max() <= (2 if half else 0)


def test_an_exported_onnx_file_is_a_model_file(tmp_path: Path) -> None:
    path = tmp_path / "turbo-x4.onnx"
    path.write_bytes(export_tier("turbo", ExportSpec("onnx", 4)).content)
    luma, enhancer = luma_picture((64, 40)), load_enhancer(str(path), device="cpu")
    assert (enhancer.scales, enhancer.info.licence) == ((4,), "Apache-2.0")  # type: ignore[attr-defined]
    record, tensors = load_weights("turbo")
    expected = TorchGenerator(generator_from(record), tensors)(luma, scale=4)
    assert np.abs(enhancer(luma, scale=4).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("described", ["{", "[]", '{"family": "turbo"}', '{"blocks": {}}'])
def test_a_description_that_makes_no_sense_is_refused(described: str) -> None:
    with pytest.raises(WeightsError, match="Export it again"):
        described_generator({ARCHITECTURE_KEY: described}, name="x")


def test_a_network_out_of_bounds_is_refused() -> None:
    numbers = {"family": "turbo", "scales": [2], "blocks": 1 << 40, "channels": 8, "fold": 1}
    with pytest.raises(WeightsError, match="does not know"):
        described_generator({ARCHITECTURE_KEY: json.dumps(numbers)}, name="x")
    assert described_generator({}, name="x") is None
    assert safetensors_metadata(b"short") == {}


def test_colour_matrices_are_inverse_to_each_other() -> None:
    (there, offset), (back, shift) = rgb_to_ycc(), ycc_to_rgb()
    np.testing.assert_allclose(back @ there, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(back @ offset + shift, 0, atol=1e-6)
    np.testing.assert_allclose(there[0], [0.299, 0.587, 0.114], atol=1e-6)


def test_the_command_writes_a_checked_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "turbo.onnx"
    assert run(["export", "turbo", "-o", str(path), "--scale", "2", "--rgb"]) == 0
    assert "of 255 levels from turbo, checked with onnxruntime" in capfd.readouterr().out
    properties = {item.key: item.value for item in onnx.load(path).metadata_props}
    assert (properties["scale"], properties["license"]) == ("2", "Apache-2.0")
    assert "already exists" in expect_error(capfd, tmp_path, "export", "turbo", "-o", path)
    other = tmp_path / "other.onnx"
    assert "did you mean 'turbo'" in expect_error(capfd, tmp_path, "export", "trubo", "-o", other)
    assert "turbo enlarges by 2, 3, 4" in expect_error(capfd, tmp_path, "export", "turbo", "--scale", "7", "-o", other)
    assert "use WIDTHxHEIGHT" in expect_error(capfd, tmp_path, "export", "turbo", "--size", "big", "-o", other)
    nowhere = tmp_path / "nothing" / "turbo.onnx"
    assert "no such folder" in expect_error(capfd, tmp_path, "export", "turbo", "-o", nowhere)


def test_a_wrong_result_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepclarity.models.export import export

    monkeypatch.setattr(
        export, "_onnx_runner", lambda: (lambda content, pixels, spec: pixels.repeat(2, 2).repeat(2, 3), "x")
    )
    with pytest.raises(StageError, match="is off by"):
        export_tier("turbo", ExportSpec("onnx", 2))
    with pytest.raises(UsageError, match="Export it without --fp16"):
        export_tier("turbo", ExportSpec("onnx", 2, half=True))


def test_options_that_exclude_each_other_are_refused() -> None:
    for spec in (ExportSpec("safetensors", 2, rgb=True), ExportSpec("torchscript", 2, size=(8, 8))):
        with pytest.raises(UsageError, match="use --format onnx"):
            export_tier("turbo", spec)
