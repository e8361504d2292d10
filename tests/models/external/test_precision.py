"""What own models do on a GPU, as far as it can be tested without one: ONNX Runtime, and float16 where it is equal."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from deepclarity.cli.app import run
from deepclarity.errors import DeviceError
from deepclarity.models.external.load import load_model_file
from deepclarity.models.external.network import probe_picture
from deepclarity.models.external.onnx_cuda import CudaOnnxNetwork
from deepclarity.models.external.onnx_network import OnnxNetwork
from deepclarity.models.external.spandrel_network import SpandrelNetwork
from tests.models.external.models import network, save


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tier as an ONNX file."""
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("graph") / "turbo.onnx"
    assert run(["export", "turbo", "--format", "onnx", "--rgb", "-o", str(path)]) == 0
    return path


def test_onnx_runtime_computes_what_openvino_computes(graph: Path) -> None:
    content = graph.read_bytes()
    ours = CudaOnnxNetwork(content, name="turbo.onnx", device="cuda:0", provider="CPUExecutionProvider")
    theirs = OnnxNetwork(content, name="turbo.onnx")
    picture = probe_picture(3, (48, 80))
    assert np.abs(ours(picture) - theirs(picture)).max() <= 1 / 255
    assert ours.info == theirs.info
    ours.close()
    theirs.close()


def test_onnx_on_a_gpu_without_its_runtime_names_the_remedy(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="pip install onnxruntime-gpu, or use --device cpu"):
        CudaOnnxNetwork(graph.read_bytes(), name="turbo.onnx", provider="NoSuchProvider")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceError, match="pip install onnxruntime-gpu"):
        load_model_file(str(graph), device="cuda")


def test_a_gpu_that_computes_something_else_is_not_used(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = OnnxNetwork.__call__
    monkeypatch.setattr(OnnxNetwork, "__call__", lambda self, pixels: 1 - right(self, pixels))
    with pytest.raises(DeviceError, match="computes something else than the CPU"):
        CudaOnnxNetwork(graph.read_bytes(), name="turbo.onnx", provider="CPUExecutionProvider")


@pytest.mark.parametrize("safe", [True, False])
def test_float16_is_used_if_the_result_is_the_same(tmp_path: Path, *, safe: bool) -> None:
    net = network("compact")
    content = save(tmp_path / "2x.safetensors", net).read_bytes()
    loaded = SpandrelNetwork(content, suffix=".safetensors", name="2x")
    exact = loaded(probe_picture(3, (32, 32)))
    if not safe:  # beyond the largest float16
        next(loaded._model.model.parameters()).data *= 1e7
    bytes_before = loaded.bytes_per_px
    loaded._use_half_if_equal(3)
    assert loaded.backend == ("spandrel cpu fp16" if safe else "spandrel cpu fp32")
    assert loaded.bytes_per_px == (bytes_before / 2 if safe else bytes_before)
    assert {each.dtype for each in loaded._model.model.parameters()} == {torch.float16 if safe else torch.float32}
    if safe:
        loaded._fast_path = None
        assert np.abs(loaded(probe_picture(3, (32, 32))) - exact).max() <= 1 / 255
    loaded.close()
