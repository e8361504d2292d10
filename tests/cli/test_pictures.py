"""`deepclarity upscale` on numbered and animated pictures, and `correct` on animated ones."""

from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from deepclarity.cli.app import run
from deepclarity.models.detectors import load_detector
from deepclarity.pipelines.demo.scene import pan, pixelate
from deepclarity.pipelines.detect_file import detect_file
from deepclarity.stream.pictures.apng import ApngEncoder
from deepclarity.stream.pictures.gif import GifEncoder
from deepclarity.stream.pictures.webp import WebpEncoder
from tests.clips import ClipSpec, encode_clip
from tests.commands import expect_error, run_upscale
from tests.conftest import Rgb
from tests.decoding import decode_frames, frame_times

SIZE = (241, 135)
SAME = ("--size", "241x135", "--model", "lanczos", "-q")
DELAYS = [5, 0, 12, 300, 1, 7]
ENCODERS = {".gif": GifEncoder, ".webp": WebpEncoder, ".png": ApngEncoder}


@pytest.fixture
def scenes(painting: Rgb) -> list[Rgb]:
    """Six RGB frames, (135, 241, 3), the first three pixelated."""
    frames = pan(painting, count=6, width=SIZE[0], height=SIZE[1])
    return [pixelate(frame, block_px=3) if number < 3 else frame for number, frame in enumerate(frames)]


@pytest.fixture
def numbered(tmp_path: Path, scenes: list[Rgb]) -> Path:
    """Pictures numbered from 7 on."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for number, scene in enumerate(scenes):
        cv2.imwrite(str(tmp_path / f"in/{number + 7:04}.png"), scene[:, :, ::-1])
    return tmp_path / "in/%04d.png"


def animate(path: Path, scenes: list[Rgb], *, loops: int | None = 2) -> Path:
    """An animated picture with a hole in its last three frames."""
    with ENCODERS[path.suffix](path, size=SIZE, loops=loops) as encoder:
        for number, (scene, delay) in enumerate(zip(scenes, DELAYS, strict=True)):
            alpha = np.full(scene.shape[:2], 255, np.uint8)
            alpha[40:90, 40:100] = 255 if number < 3 else 0
            encoder.add(np.dstack([scene, alpha]), Fraction(delay, 100), exact=True)
        encoder.finish()
    return path


def read(path: Path) -> tuple[list[np.ndarray], list[int], int | None]:
    with Image.open(path) as image:
        frames, delays = [], []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGBA")))
            delays.append(round(image.info["duration"] / 10))
        if path.suffix == ".gif":  # Pillow shows no holes that the first frame does not have
            with av.open(str(path)) as container:
                frames = [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
        return frames, delays, image.info.get("loop")


def test_numbered_pictures_keep_their_numbers_and_clean_ones_their_pixels(tmp_path: Path, numbered: Path) -> None:
    assert run_upscale(numbered, tmp_path / "out/%05d.png", *SAME) == 0
    names = [path.name for path in sorted((tmp_path / "out").iterdir())]
    assert names == [f"{number:05}.png" for number in range(7, 13)]
    for number in range(7, 13):
        before, after = (cv2.imread(str(tmp_path / name)) for name in (f"in/{number:04}.png", f"out/{number:05}.png"))
        assert before.shape == after.shape
        assert np.array_equal(before, after) == (number >= 10)


def test_a_missing_number_is_named_and_leaves_a_gap(
    tmp_path: Path, numbered: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in/0009.png").unlink()
    assert run_upscale(numbered, tmp_path / "film.mp4", "--none", "-q", "--fps", "10", "--size", "240x136") == 3
    assert "missing numbers: 9" in capfd.readouterr().err
    assert frame_times(tmp_path / "film.mp4") == [Fraction(number, 10) for number in (0, 1, 3, 4, 5)]


def test_a_video_becomes_numbered_pictures_and_back(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "clip.mkv", ClipSpec(codec="ffv1", pixel_format="yuv444p"))
    (tmp_path / "out").mkdir()
    options = ("--none", "-q", "--size", "160x90")
    assert run_upscale(clip, tmp_path / "out/%d.png", *options) == 0
    assert sorted(int(path.stem) for path in (tmp_path / "out").iterdir()) == list(range(1, 11))
    assert run_upscale(tmp_path / "out/%d.png", tmp_path / "again.mp4", *options, "--fps", "25") == 0
    before, after = decode_frames(clip), decode_frames(tmp_path / "again.mp4")
    assert [a.time_s - b.time_s for a, b in zip(after, before, strict=True)] == [0] * 10
    assert all(abs(a.brightness - b.brightness) < 2 for a, b in zip(after, before, strict=True))


def test_16_bits_odd_sizes_and_other_sizes_are_kept_apart(tmp_path: Path, scenes: list[Rgb]) -> None:
    (tmp_path / "out").mkdir()
    noise = np.random.default_rng(0).integers(0, 65_536, (135, 241, 3), np.uint16)
    deep = [scene.astype(np.uint16) * 257 for scene in scenes]
    with_alpha = np.dstack([deep[0], np.full(deep[0].shape[:2], 30_000, np.uint16)])
    inputs = [noise, deep[0], with_alpha, deep[4][:100, :120], scenes[4]]
    for number, picture in enumerate(inputs):
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture)
    options = (*SAME, "--report", str(tmp_path / "report.html"))
    assert run_upscale(tmp_path / "%d.png", tmp_path / "out/%d.png", *options) == 0
    outputs = [cv2.imread(str(tmp_path / f"out/{number}.png"), cv2.IMREAD_UNCHANGED) for number in range(5)]
    assert [picture.dtype for picture in outputs] == [np.uint16] * 5
    assert [picture.shape[:2] for picture in outputs] == [(135, 241)] * 5
    assert np.array_equal(outputs[0], noise)
    assert np.array_equal(outputs[4], deep[4])
    assert not np.array_equal(outputs[1], deep[0])
    assert (outputs[2][:, :, 3] == 30_000).all()


@pytest.mark.parametrize("suffix", ENCODERS)
def test_an_animation_keeps_its_kind_delays_loops_and_holes(tmp_path: Path, scenes: list[Rgb], suffix: str) -> None:
    source = animate(tmp_path / f"cat{suffix}", scenes)
    assert run(["upscale", str(source), *SAME]) == 0
    before, after = read(source), read(tmp_path / f"cat.clear{suffix}")
    assert before[1:] == after[1:]
    assert after[1] == DELAYS
    for number, (one, other) in enumerate(zip(before[0], after[0], strict=True)):
        assert np.array_equal(one[:, :, 3], other[:, :, 3])
        shown = one[:, :, 3] > 0
        assert np.array_equal(one[shown], other[shown]) == (number >= 3)


def test_an_enlarged_hole_has_no_dark_edge(tmp_path: Path, scenes: list[Rgb]) -> None:
    bright = [np.full_like(scene, 200) for scene in scenes]
    source = animate(tmp_path / "cat.png", bright)
    assert run(["upscale", str(source), "-o", str(tmp_path / "big.png"), "--size", "482x270", "--none", "-q"]) == 0
    for frame in read(tmp_path / "big.png")[0]:
        assert frame.shape == (270, 482, 4)
        assert frame[frame[:, :, 3] > 0][:, :3].min() > 190


@pytest.mark.parametrize("name", ["cat.webp", "cat.apng", "cat.mp4", "cat.webm"])
def test_a_gif_becomes_what_the_ending_says(tmp_path: Path, scenes: list[Rgb], name: str) -> None:
    source, target = animate(tmp_path / "cat.gif", scenes), tmp_path / name
    assert run_upscale(source, target, "--none", "-q", "--size", "240x134") == 0
    if target.suffix in (".mp4", ".webm"):
        starts = [0, 5, 15, 27, 327, 337]  # browsers show for 100 ms what asks for less than 11
        assert [round(time * 100) for time in frame_times(target)] == starts
        assert decode_frames(target)[5].brightness > decode_frames(target)[2].brightness + 5  # the hole is white
    else:
        assert read(target)[1] == DELAYS


def test_a_gif_is_detected_as_a_video(tmp_path: Path, scenes: list[Rgb]) -> None:
    for suffix in ENCODERS:
        verdict = detect_file(animate(tmp_path / f"cat{suffix}", scenes), load_detector("grid"))
        assert (verdict.frames, verdict.pixelated) == (6, True)
        assert [(part["first_frame"], part["last_frame"]) for part in verdict.ranges] == [(0, 2)]


def test_pictures_of_a_rotated_video_are_upright(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "clip.mp4", ClipSpec(count=2, rotation=90))
    (tmp_path / "out").mkdir()
    for target in ("out/%d.png", "a.webp"):
        assert run_upscale(clip, tmp_path / target, "--none", "-q", "--size", "160x160") == 0
    assert cv2.imread(str(tmp_path / "out/1.png")).shape == (160, 90, 3)
    assert read(tmp_path / "a.webp")[0][0].shape == (160, 90, 4)


def test_a_video_becomes_a_gif(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "clip.mp4", ClipSpec(pts=[0, 4, 8, 20, 21, 22, 30, 40, 50, 60]))
    assert run_upscale(clip, tmp_path / "clip.gif", "--none", "-q", "--size", "160x90") == 0
    frames, delays, loops = read(tmp_path / "clip.gif")
    assert (len(frames), loops) == (10, 0)
    times = frame_times(clip)
    assert delays[:-1] == [round(b * 100) - round(a * 100) for a, b in itertools.pairwise(times)]


def test_correct_says_what_to_use_for_animations(
    tmp_path: Path, scenes: list[Rgb], capfd: pytest.CaptureFixture[str]
) -> None:
    for suffix in ENCODERS:
        source = animate(tmp_path / f"cat{suffix}", scenes)
        assert f"Use 'deepclarity upscale cat{suffix}'" in expect_error(capfd, tmp_path, "correct", source)


def test_a_cut_off_animation_gives_the_frames_before(
    tmp_path: Path, scenes: list[Rgb], capfd: pytest.CaptureFixture[str]
) -> None:
    source = animate(tmp_path / "cat.gif", scenes)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    assert run(["upscale", str(source), *SAME]) == 3
    assert 2 <= len(read(tmp_path / "cat.clear.gif")[0]) < 6
    assert "damaged or missing" in capfd.readouterr().err


@pytest.mark.parametrize("end", [b"", b"\0", b";;;"])
def test_a_gif_without_its_last_byte_is_sound(tmp_path: Path, scenes: list[Rgb], end: bytes) -> None:
    source = animate(tmp_path / "cat.gif", scenes)
    source.write_bytes(source.read_bytes()[:-1] + end)
    assert run(["upscale", str(source), "--none", *SAME]) == 0
    assert read(tmp_path / "cat.clear.gif")[1] == DELAYS


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("in/%04d.png",), "no default output"),
        (("in/%04d.png", "-o", "nowhere/%d.png"), "no such folder"),
        (("in/%04d.png", "-o", "in/%04d.png"), "the output is the input"),
        (("in/%04d.png", "-o", "in/%d.png"), "already exists"),
        (("in/%04d.png", "-o", "out/%d.exr"), "not supported"),
        (("in/%04d.png", "-o", "out/a.mp4", "--fps", "none"), "not a frame rate"),
        (("in/0007.png", "-o", "out/a.mp4", "--fps", "5"), "--fps is for numbered pictures"),
        (("in/0007.png", "-o", "out/a.png"), "one picture cannot hold a video"),
        (("in/%03d.jpg", "-o", "out/a.mp4"), "no such pictures"),
    ],
)
def test_bad_usage(numbered: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, ...], expected: str) -> None:
    folder = numbered.parents[1]
    if "in/%d.png" in options:
        (folder / "in/0007.png").rename(folder / "in/7.png")
    with contextlib.chdir(folder):
        assert expected in expect_error(capfd, folder, "upscale", *options)
