"""Models of your own, by path: the commands return what spandrel and ONNX Runtime make of the same pictures."""

from __future__ import annotations

import io
import json
import re
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from deepclarity.cli.app import run
from deepclarity.errors import InputError
from deepclarity.models.colour import Planes, YCbCr, as_planes
from deepclarity.models.load import load_enhancer
from tests.commands import expect_error, run_upscale
from tests.conftest import Rgb
from tests.models.external.models import ARCHITECTURES, LARGE_ARCHITECTURES, by_spandrel, network, save

CAMERA = "lavfi:testsrc2=size=64x36:rate=10"
COLOURS = {"bt709": (1, 1), "bt601": (6, 1), "bt2020": (9, 2)}
"""Name: H.273 matrix and range, 1 limited or 2 full."""


def small(painting: Rgb) -> Rgb:
    """(54, 128, 3)."""
    return np.asarray(cv2.resize(painting, (128, 54), interpolation=cv2.INTER_AREA), np.uint8)


@pytest.mark.parametrize(
    ("architecture", "suffix"), [*((name, ".safetensors") for name in ARCHITECTURES), ("compact", ".pth")]
)
def test_correct_equals_spandrel(tmp_path: Path, painting: Rgb, architecture: str, suffix: str) -> None:
    """In 16 bits, so that the rounding of Y'CbCr plays no part."""
    model, picture = save(tmp_path / f"2x-{architecture}{suffix}", network(architecture)), small(painting)
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    cv2.imwrite(str(source), picture[:, :, ::-1].astype(np.uint16) * 257)
    assert run(["correct", str(source), "-o", str(target), "--model", str(model), "--scale", "2", "--force", "-q"]) == 0
    result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert result is not None
    expected = by_spandrel(model, picture.astype(np.float32) / 255)
    assert result.shape == expected.shape
    assert np.abs(result[:, :, ::-1] / 257 - expected * 255).max() <= 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("architecture", LARGE_ARCHITECTURES)
def test_large_models_equal_spandrel_in_correct_and_upscale(
    tmp_path: Path, painting: Rgb, architecture: str, capfd: pytest.CaptureFixture[str]
) -> None:
    test_correct_equals_spandrel(tmp_path, painting, architecture, ".pth")
    test_upscale_equals_spandrel(tmp_path, painting, architecture, "bt709")
    assert capfd.readouterr() == ("", "")


def write_lossless(path: Path, picture: Rgb, colour: tuple[int, int], *, count: int = 3) -> None:
    """`picture` as the planes of a lossless 4:4:4 video with these tags; its values are taken for Y'CbCr."""
    matrix, sample_range = colour
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = picture.shape[0], picture.shape[1], "yuv444p"
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, sample_range
        for number in range(count):
            planes = np.ascontiguousarray(np.roll(picture, 4 * number, axis=1).transpose(2, 0, 1))
            frame = VideoFrame.from_ndarray(planes, format="yuv444p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.colorspace, frame.color_range = matrix, sample_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def decoded(path: Path) -> list[Planes]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    return [(planes[0], planes[1], planes[2]) for planes in frames]


@pytest.mark.parametrize(
    ("architecture", "colour"),
    [("compact", "bt709"), ("compact", "bt601"), ("compact", "bt2020"), ("span", "bt709"), ("esrgan", "bt709")],
)
def test_upscale_equals_spandrel(tmp_path: Path, painting: Rgb, architecture: str, colour: str) -> None:
    model = save(tmp_path / f"2x-{architecture}.pth", network(architecture))
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    yuv = cv2.cvtColor(small(painting), cv2.COLOR_RGB2YCrCb)[:, :, [0, 2, 1]] // 2 + 60  # legal in every encoding
    write_lossless(source, np.asarray(yuv, np.uint8), COLOURS[colour])
    assert run_upscale(source, target, "--model", str(model), "--all", "--size", "256x108", "--crf", "0", "-q") == 0
    encoding = YCbCr(COLOURS[colour][0], full_range=COLOURS[colour][1] == 2)
    pictures = list(zip(decoded(source), decoded(target), strict=True))
    assert len(pictures) == 3
    for before, after in pictures:
        large = by_spandrel(model, encoding.to_rgb(before, max_value=255))
        expected = as_planes(encoding.from_rgb(large, max_value=255), max_value=255, dtype=np.dtype(np.uint8))
        for ours, theirs in zip(after, expected, strict=True):
            assert np.abs(ours.astype(int) - theirs).max() <= 1


def onnx_bytes(architecture: str, *, size: tuple[int, int] | None = None, **metadata: str) -> bytes:
    """A community model as ONNX, with free or fixed sides."""
    onnx, torch = pytest.importorskip("onnx"), pytest.importorskip("torch")
    buffer = io.BytesIO()
    axes = {0: "n", 2: "h", 3: "w"}
    with pytest.warns(DeprecationWarning, match="."):
        torch.onnx.export(
            network(architecture), (torch.rand(1, 3, *(size or (32, 32))),), buffer, dynamo=False,
            input_names=["input"], output_names=["output"],
            dynamic_axes=None if size else {"input": axes, "output": axes},
        )  # fmt: skip
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def by_onnx_runtime(content: bytes, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    session = pytest.importorskip("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])
    (large,) = session.run(None, {"input": np.ascontiguousarray(rgb.transpose(2, 0, 1))[None]})
    return np.clip(large[0].transpose(1, 2, 0), 0, 1)


@pytest.mark.parametrize("fixed", [None, (54, 128), (64, 80)])
def test_an_onnx_model_equals_onnx_runtime(tmp_path: Path, painting: Rgb, fixed: tuple[int, int] | None) -> None:
    """A graph of fixed size runs in tiles of that size."""
    picture = small(painting)
    model = tmp_path / "2x-compact.onnx"
    model.write_bytes(onnx_bytes("compact", size=fixed, license="MIT"))
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    cv2.imwrite(str(source), picture[:, :, ::-1].astype(np.uint16) * 257)
    assert run(["correct", str(source), "-o", str(target), "--model", str(model), "--scale", "2", "--force", "-q"]) == 0
    result = cv2.imread(str(target), cv2.IMREAD_UNCHANGED)
    assert result is not None
    expected = by_onnx_runtime(onnx_bytes("compact"), picture.astype(np.float32) / 255)
    away = 20 if fixed == (64, 80) else 0  # padding below the picture shows at its edge
    difference = np.abs(result[:, :, ::-1] / 257 - expected * 255)
    assert difference[: difference.shape[0] - away].max() <= 1


def test_an_onnx_model_that_lies_about_its_scale_is_refused(
    tmp_path: Path, painting: Rgb, capfd: pytest.CaptureFixture[str]
) -> None:
    model, source = tmp_path / "liar.onnx", tmp_path / "in.png"
    model.write_bytes(onnx_bytes("compact", scale="4"))
    cv2.imwrite(str(source), small(painting))
    said = expect_error(capfd, tmp_path, "correct", source, "--model", model, "--force")
    assert "claims to enlarge by 4, but enlarges by 2" in said
    model.write_bytes(onnx_bytes("compact", location="weights.bin"))
    assert "keeps its weights in another file" in expect_error(capfd, tmp_path, "correct", source, "--model", model)


def test_commands_name_a_model_that_is_missing(tmp_path: Path, clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "4x-Any.pth"
    assert "4x-Any.pth: no such file" in expect_error(capfd, tmp_path, "upscale", clip, "--model", model)
    live = ("live", "--camera", CAMERA, "--no-view", "-o", tmp_path / "out.mp4")
    assert "4x-Any.pth: no such file" in expect_error(capfd, tmp_path, *live, "--model", model)


def test_a_live_stream_is_repaired_by_a_model_file(tmp_path: Path) -> None:
    model, target = save(tmp_path / "2x.pth", network("compact")), tmp_path / "live.mp4"
    options = ["--camera", CAMERA, "--no-view", "-o", str(target), "--all", "--size", "128x72", "--seconds", "2", "-q"]
    assert run(["live", *options, "--model", str(model)]) == 0
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.width == 128


def test_the_models_of_a_folder_are_listed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    save(folder / "2x-compact.safetensors", network("compact"), license="MIT")
    (folder / "damaged.pth").write_bytes(b"junk")
    (folder / "notes.txt").write_text("not a model")
    assert run(["models", "--folder", str(folder), "--device", "cpu"]) == 0
    listed = capfd.readouterr().out.splitlines()
    facts = r"2x-compact.safetensors +RealESRGAN Compact +×2 RGB .* licence MIT \(architecture: BSD-3-Clause\)"
    assert re.search(facts + r" +[\d.]+ frames/s", listed[1])
    assert re.fullmatch(r"  damaged.pth: not a file of weights alone.*", listed[2])
    assert len(listed) == 3
    assert run(["models", "--folder", str(folder), "--device", "cpu", "--json"]) == 0
    good, bad = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (good["info"]["scale"], good["info"]["licence"], bad["info"]) == (2, "MIT", None)
    assert good["frames_per_s"] > 0
    assert "no such folder" in expect_error(capfd, tmp_path, "models", "--folder", tmp_path / "nothing")


def test_the_api_takes_the_path_of_a_model(tmp_path: Path, painting: Rgb) -> None:
    import deepclarity as dc

    model, picture = save(tmp_path / "2x-span.safetensors", network("span")), small(painting)
    pixels = picture.astype(np.uint16) * 257
    result = dc.correct(pixels, model=model, scale=2, force=True, order="rgb", device="cpu")
    expected = by_spandrel(model, picture.astype(np.float32) / 255) * 255
    assert np.abs(result / 257 - expected).max() <= 1
    (frame,) = dc.repair([pixels], model=model, which="all", order="rgb", size=(256, 108), device="cpu", look_ahead=0)
    assert np.abs(frame / 257 - expected).max() <= 1


def test_an_onnx_file_whose_bytes_flipped_never_ends_in_a_traceback(tmp_path: Path) -> None:
    content, path, rng = onnx_bytes("compact"), tmp_path / "flipped.onnx", np.random.default_rng(1)
    refusals: list[str] = []
    for _ in range(30):
        flipped = np.frombuffer(content, np.uint8).copy()
        flipped[rng.integers(0, 2000, 3)] = rng.integers(0, 256, 3)
        path.write_bytes(flipped.tobytes())
        try:
            load_enhancer(str(path), device="cpu")
        except InputError as error:
            refusals.append(str(error))
    assert refusals
    assert all(path.name in refusal for refusal in refusals)
