"""Model files that are not what they should be: each is refused in one line of words."""

from __future__ import annotations

import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

from deepclarity.errors import InputError, UsageError, WeightsError
from deepclarity.models.load import check_enhancer, load_enhancer, weights_sha256
from tests.models.external.models import ARCHITECTURES, LARGE_ARCHITECTURES, by_spandrel, network, save


class Attack:
    """An object whose unpickling runs a command."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("attacked",)


def refused(path: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_enhancer(str(path), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("scale", [2, 4])
def test_a_community_model_equals_spandrel(tmp_path: Path, architecture: str, suffix: str, scale: int) -> None:
    path = save(tmp_path / f"{scale}x-test{suffix}", network(architecture, scale=scale))
    rgb = np.random.default_rng(1).random((40, 56, 3), np.float32)
    enhancer = load_enhancer(str(path), device="cpu")
    assert enhancer.scales == (scale,)
    large = enhancer._network(np.ascontiguousarray(rgb.transpose(2, 0, 1))).transpose(1, 2, 0)  # type: ignore[attr-defined]
    np.testing.assert_allclose(large, by_spandrel(path, rgb), atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("architecture", LARGE_ARCHITECTURES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_large_community_model_equals_spandrel(tmp_path: Path, architecture: str, suffix: str) -> None:
    test_a_community_model_equals_spandrel(tmp_path, architecture, suffix, 2)


def test_the_licence_of_the_architecture_is_known_of_a_pth_file(tmp_path: Path) -> None:
    for name, licence in ("compact", "BSD-3-Clause"), ("esrgan", "Apache-2.0"):
        info = load_enhancer(str(save(tmp_path / f"{name}.pth", network(name))), device="cpu").info  # type: ignore[attr-defined]
        assert (info.licence, info.architecture_licence) == ("-", licence)


def test_the_licence_and_the_architecture_are_known(tmp_path: Path) -> None:
    path = save(tmp_path / "m.safetensors", network("compact"), **{"modelspec.license": "CC0-1.0"})
    info = load_enhancer(str(path), device="cpu").info  # type: ignore[attr-defined]
    assert (info.architecture, info.scale, info.channels, info.licence) == ("RealESRGAN Compact", 2, 3, "CC0-1.0")
    assert info.parameters == sum(parameter.numel() for parameter in network("compact").parameters())


@pytest.mark.parametrize("protocol", [2, 4])
def test_pickled_code_is_never_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    plain, zipped = tmp_path / "plain.pth", tmp_path / "zipped.pth"
    plain.write_bytes(pickle.dumps({"params": Attack()}, protocol))
    torch.save({"params_ema": {"x": torch.zeros(1)}, "y": Attack()}, zipped, pickle_protocol=protocol)
    for path in (plain, zipped):
        refused(path, "not a file of weights alone")
    assert not (tmp_path / "attacked").exists()


def test_a_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.pth"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    refused(path, r"10\.0 GiB; models of up to 2 GiB")


def test_an_archive_that_expands_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 * 2**20))
    refused(path, "expand to")


def test_a_tensor_that_repeats_one_value_counts_by_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({"conv_first.weight": torch.zeros(1).expand(1 << 20, 1 << 20)}, path)
    refused(path, "would take 4096.0 GiB")


def test_a_layer_number_out_of_all_proportion_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.pth"
    torch.save({f"body.{number}.weight": torch.zeros(8, 8, 3, 3) for number in (0, 99_999_999)}, path)
    refused(path, "names layer 99999999")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(1000), b"\x80\x02}q\x00.", b"\xff" * 99])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    refused(path, "damaged")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        path = save(tmp_path / f"short{suffix}", network("compact"))
        path.write_bytes(path.read_bytes()[:-2000])
        refused(path, "short")


def test_weights_of_no_known_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    safetensors.numpy.save_file({"something": np.zeros((3, 3), np.float32)}, path)
    refused(path, "knows no architecture")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    net = network("compact")
    next(net.parameters()).data[0] = float("nan")
    refused(save(tmp_path / "nan.pth", net), "NaN or infinite")


def test_a_scale_that_lies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepclarity.models.external import spandrel_network

    real = spandrel_network._recognised

    def lying(*arguments: object) -> object:
        model = real(*arguments)  # type: ignore[arg-type]
        model.scale = 4
        return model

    monkeypatch.setattr(spandrel_network, "_recognised", lying)
    refused(save(tmp_path / "liar.pth", network("compact", scale=2)), "claims to enlarge by 4, but enlarges by 2")


def test_a_name_that_states_another_scale_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_enhancer(str(save(tmp_path / "4x-wrong.pth", network("compact", scale=2))), device="cpu")
    assert "enlarges by 2, not by what its name says" in caplog.text


def test_a_missing_file_or_package_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"nothing\.pth: no such file"):
        check_enhancer(str(tmp_path / "nothing.pth"))
    with pytest.raises(UsageError, match=r"models are loaded from \.safetensors, \.pth, \.onnx files"):
        check_enhancer(str(tmp_path / "model.bin"))
    with pytest.raises(UsageError, match=r"4x-Any\.pt: models are loaded from"):
        check_enhancer("4x-Any.pt")
    path = save(tmp_path / "m.pth", network("compact"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "spandrel" else sys.modules.get(name))
    with pytest.raises(UsageError, match=r"need spandrel: pip install 'deepclarity\[models\]'"):
        load_enhancer(str(path), device="cpu")
    (tmp_path / "m.safetensors").mkdir()
    with pytest.raises(InputError, match="no such file"):
        check_enhancer(str(tmp_path / "m.safetensors"))


def test_a_model_for_four_channels_is_refused(tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact

    path = save(tmp_path / "rgba.pth", Compact(num_in_ch=4, num_out_ch=4, num_feat=8, num_conv=1, upscale=2))
    with pytest.raises(WeightsError, match="takes 4 channels and returns 4"):
        load_enhancer(str(path), device="cpu")


def test_a_luma_model_is_a_tier_like_any_other(tmp_path: Path) -> None:
    from spandrel.architectures.Compact import Compact

    path = save(tmp_path / "grey.pth", Compact(num_in_ch=1, num_out_ch=1, num_feat=8, num_conv=1, upscale=3))
    enhancer = load_enhancer(str(path), device="cpu")
    luma = np.random.default_rng(0).integers(0, 1024, (31, 47)).astype(np.uint16)
    large = enhancer(luma, scale=3, max_value=1023)
    assert (large.shape, large.dtype) == ((93, 141), np.uint16)
    assert not hasattr(enhancer, "enlarge_planes")
    expected = by_spandrel(path, luma[:, :, None].astype(np.float32) / 1023)[:, :, 0] * 1023
    assert np.abs(large - expected).max() <= 1


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_bytes_that_flipped_never_end_in_a_traceback(tmp_path: Path, suffix: str) -> None:
    content = save(tmp_path / f"good{suffix}", network("compact")).read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / f"flipped{suffix}"
    refusals: list[str] = []
    for _ in range(30):
        flipped = np.frombuffer(content, np.uint8).copy()
        flipped[rng.integers(0, min(3000, len(content)), 3)] = rng.integers(0, 256, 3)
        path.write_bytes(flipped.tobytes())
        try:
            load_enhancer(str(path), device="cpu")
        except InputError as error:
            refusals.append(str(error))
    assert refusals
    assert all(path.name in refusal for refusal in refusals)


def test_the_hash_of_a_model_follows_its_content(tmp_path: Path) -> None:
    """So that `--resume` does not continue with another model of the same name."""
    first = weights_sha256(str(save(tmp_path / "m.pth", network("compact", seed=0))))
    assert first != weights_sha256(str(save(tmp_path / "m.pth", network("compact", seed=1))))
    assert (len(first), weights_sha256("lanczos")) == (64, "-")
