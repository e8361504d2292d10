"""What cannot be done is refused in one line, with the right exit code, and nothing is left lying about."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from deepclarity.cli.app import run
from tests.clips import QUICK, Recipe, add_sound, encode_sound, looks, make, refused, start, times
from tests.conftest import MakeClip

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    return make_clip(count=4, size=(64, 36))


def frames_told(out: str) -> tuple[int, int]:
    """(in, out) of the summary's line."""
    words = next(line for line in out.splitlines() if line.startswith("  frames")).split()
    return int(words[1]), int(words[3])


# The input ------------------------------------------------------------------------------------------------------------


def make_bad(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("This is a letter, not a video.\n" * 200)
    elif kind == "zeros":
        path.write_bytes(bytes(100_000))
    elif kind == "folder":
        path.mkdir()
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            encode_sound(container, add_sound(container), seconds=0.2)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such file"),
        ("empty", "empty"),
        ("text", "not a video"),
        ("zeros", "not a video"),
        ("folder", "directory"),
        ("audio", "no video in it"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, capfd: Capture, kind: str, words: str) -> None:
    path = make_bad(tmp_path, kind)
    said = refused(capfd, tmp_path, "upscale", path, "-o", tmp_path / "out.mp4")
    assert words in said
    assert str(path) in said


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "audio"])
def test_detect_says_the_same(tmp_path: Path, capfd: Capture, kind: str) -> None:
    path = make_bad(tmp_path, kind)
    assert str(path) in refused(capfd, tmp_path, "detect", path)


def test_a_recording_without_its_index_is_told_so(make_clip: MakeClip, tmp_path: Path, capfd: Capture) -> None:
    whole = make_clip(count=40, size=(160, 90)).read_bytes()
    assert whole.find(b"moov") > whole.find(b"mdat")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    assert "index is missing" in refused(capfd, tmp_path, "upscale", cut, "-o", tmp_path / "out.mp4")


def test_a_file_cut_inside_its_first_frame_is_refused(tmp_path: Path, capfd: Capture) -> None:
    whole = make(tmp_path / "whole.mp4", Recipe(container_options={"movflags": "faststart"})).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: whole.find(b"mdat") + 40])
    refused(capfd, tmp_path, "upscale", cut, "-o", tmp_path / "out.mp4")


def test_of_a_cut_file_every_frame_that_is_there_comes_out(tmp_path: Path, capfd: Capture) -> None:
    recipe = Recipe(count=40, options={"g": "5"}, container_options={"movflags": "faststart"})
    whole = make(tmp_path / "whole.mp4", recipe).read_bytes()
    cut, target = tmp_path / "cut.mp4", tmp_path / "out.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    assert run(["upscale", str(cut), "-o", str(target), *QUICK]) == 3
    there = times(cut)
    assert 10 < len(there) < 35
    assert times(target) == there == times(tmp_path / "whole.mp4")[: len(there)]
    said = capfd.readouterr()
    assert frames_told(said.out) == (len(there), len(there))
    assert said.err.startswith("deepclarity: ")
    assert said.err.count("\n") == 1
    assert f"all {len(there)} frames" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.mp4", "out.mp4", "whole.mp4"]


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
def test_damage_in_the_middle_costs_only_what_is_damaged(tmp_path: Path, capfd: Capture, container: str) -> None:
    whole = make(tmp_path / f"whole.{container}", Recipe(count=40, options={"g": "5"}))
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = b"\xa5" * 600
    broken, target = tmp_path / f"broken.{container}", tmp_path / "out.mkv"
    broken.write_bytes(data)
    code = run(["upscale", str(broken), "-o", str(target), *QUICK])
    said = capfd.readouterr()
    assert code in (0, 3), said.err
    counted, left = frames_told(said.out)
    after, before = looks(target), looks(whole)
    assert counted == left == len(after) >= 30
    spoilt = [look for look in after if min(abs(look.brightness - b.brightness) for b in before) > 5]
    assert len(spoilt) <= 10  # two groups of pictures at the most


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_never_bring_it_down(tmp_path: Path, capfd: Capture, container: str, seed: int) -> None:
    data = bytearray(make(tmp_path / f"whole.{container}", Recipe(count=12)).read_bytes())
    rng = np.random.default_rng(seed)
    for position in rng.integers(0, len(data), max(4, len(data) // 1000)):
        data[position] ^= int(rng.integers(1, 256))
    broken, target = tmp_path / f"broken.{container}", tmp_path / "out.mp4"
    broken.write_bytes(data)
    code = run(["upscale", str(broken), "-o", str(target), *QUICK])
    said = capfd.readouterr().err
    assert code in (0, 2, 3), said
    assert "Traceback" not in said
    assert target.exists() == (code != 2)
    if target.exists():
        assert len(looks(target)) >= 1


@pytest.mark.parametrize("name", [os.fsdecode(b"cl\xffip.mp4"), "a clip, 100 % [1] 'so' #2.mp4", "映画.mp4", "-n.mp4"])
def test_any_file_name_will_do(clip: Path, tmp_path: Path, name: str) -> None:
    clip.rename(tmp_path / name)
    target = tmp_path / f"out {name}"
    assert run(["upscale", "-o", str(target), *QUICK, str(tmp_path / name)]) == 0
    assert len(looks(target)) == 4


def test_a_colon_in_a_name_is_no_protocol(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip.rename(tmp_path / "take 12:30.mp4")
    monkeypatch.chdir(tmp_path)
    assert run(["upscale", "take 12:30.mp4", "-o", "repaired 12:30.mp4", *QUICK]) == 0
    assert len(looks(tmp_path / "repaired 12:30.mp4")) == 4


@pytest.mark.parametrize("command", ["upscale", "detect"])
def test_a_camera_that_is_taken_for_a_file_keeps_its_password(
    tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(capfd, tmp_path, command, "rtsp://user:hunter2@cam.local/live.mp4")
    assert "hunter2" not in said


def test_a_pipe_cannot_be_read_twice_and_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    process = start("upscale", tmp_path / "pipe.mp4", "-o", tmp_path / "out.mp4", *QUICK)
    try:
        _, said = process.communicate(timeout=5)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 2
    assert said.startswith(b"deepclarity: ")


def test_a_name_that_cannot_be_shown_is_complained_about_all_the_same(tmp_path: Path, capfd: Capture) -> None:
    refused(capfd, tmp_path, "upscale", tmp_path / os.fsdecode(b"no\xffne.mp4"))


def test_a_name_too_long_for_the_file_system_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    endless = tmp_path / ("x" * 300 + ".mp4")
    refused(capfd, tmp_path, "upscale", endless, "-o", tmp_path / "out.mp4")
    refused(capfd, tmp_path, "upscale", clip, "-o", endless)


# Names and options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "nearest"),
    [
        (["--preset", "defualt"], "default"),
        (["--model", "trubo"], "turbo"),
        (["--method", "gird"], "grid"),
        (["--codec", "h246"], "h264"),
        (["--speed", "utlrafast"], "ultrafast"),
        (["--device", "cdua"], "cuda"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(
    clip: Path, tmp_path: Path, capfd: Capture, options: list[str], nearest: str
) -> None:
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", *options)
    assert f"'{nearest}'" in said
    assert options[1] in said


@pytest.mark.parametrize(
    "options",
    [
        ["--crf", "52"],
        ["--crf", "-1"],
        ["--crf", "64", "--codec", "av1"],
        ["--crf", "good"],
        ["--size", "large"],
        ["--size", "0x0"],
        ["--size", "1920"],
        ["--size", "1920x"],
        ["--size", "-640x-360"],
        ["--size", "99999x99999"],
        ["--size", ""],
        ["--encoder", "intel"],
        ["--nonsense"],
    ],
)
def test_a_value_out_of_range_is_refused(clip: Path, tmp_path: Path, capfd: Capture, options: list[str]) -> None:
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", *options)
    assert options[0].lstrip("-") in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('modell = "turbo"', "did you mean 'model'"),
        ("crf = true", "crf"),
        ('crf = "18"', "crf"),
        ('speed = "warp"', "warp"),
        ("restart_every_frames = 0", "restart_every_frames"),
        ("source_buffer_frames = -1", "source_buffer_frames"),
        ('which = "pixelatd"', "pixelated"),
        ("on_score = nan", "on_score"),
        ("hold_s = -1.0", "hold_s"),
        ("model = [", "not valid TOML"),
        ("[section]\ncrf = 1", "section"),
    ],
)
def test_a_preset_with_a_mistake_is_refused(clip: Path, tmp_path: Path, capfd: Capture, text: str, words: str) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text(text)
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--preset", preset)
    assert words in said


def test_a_preset_that_is_no_text_is_refused(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_bytes(b"\xff\xfe\x00\x80 = 1")
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--preset", preset)
    assert "mine.toml" in said
    refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--preset", tmp_path / "none.toml")


def test_an_unknown_command_is_refused(tmp_path: Path, capfd: Capture) -> None:
    assert "upscal" in refused(capfd, tmp_path, "upscal", "in.mp4")
    refused(capfd, tmp_path, "upscale")


def test_without_a_command_the_help_is_shown(capfd: Capture) -> None:
    run([])
    said = "".join(capfd.readouterr())
    assert len([line for line in said.splitlines() if line.strip().startswith(("upscale ", "detect "))]) == 2


def test_without_a_gpu_cuda_is_a_device_error(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here: that --device cuda is refused without one goes untested")
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--device", "cuda", code=5)
    assert "cuda" in said.lower()


# The output -----------------------------------------------------------------------------------------------------------


def test_the_output_must_not_be_the_input(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    link = tmp_path / "link.mp4"
    link.hardlink_to(clip)
    for output in (clip, tmp_path / "." / "clip.mp4", link):
        assert "the output is the input" in refused(capfd, tmp_path, "upscale", clip, "-o", output, "-y")


def test_the_unfinished_output_must_not_be_the_input_either(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    partial = clip.rename(tmp_path / "film.partial.mp4")
    refused(capfd, tmp_path, "upscale", partial, "-o", tmp_path / "film.mp4", *QUICK)


def test_an_existing_output_is_replaced_only_if_asked(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    target = tmp_path / "out.mp4"
    target.write_text("precious")
    assert "exists already" in refused(capfd, tmp_path, "upscale", clip, "-o", target)
    assert target.read_text() == "precious"
    assert run(["upscale", str(clip), "-o", str(target), "-y", *QUICK]) == 0
    assert times(target) == times(clip)


@pytest.mark.parametrize("place", ["{tmp}/none/out.mp4", "{clip}/out.mp4", "/proc/x.mp4", "/sys/x.mp4", "{tmp}"])
def test_a_place_that_cannot_be_written_to_is_refused(clip: Path, tmp_path: Path, capfd: Capture, place: str) -> None:
    output = place.format(tmp=tmp_path, clip=clip)
    said = refused(capfd, tmp_path, "upscale", clip, "-o", output)
    assert output.rsplit("/", 1)[0] in said


@pytest.mark.parametrize("name", ["out.gif", "out.avi", "out", "out.mp4.part", ".mp4"])
def test_an_unknown_ending_names_those_that_work(clip: Path, tmp_path: Path, capfd: Capture, name: str) -> None:
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / name)
    assert ".mkv" in said


def test_webm_takes_no_h264(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    said = refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.webm", "--codec", "h264")
    assert "av1" in said


def test_a_report_that_cannot_be_written_is_refused_before_any_work(clip: Path, tmp_path: Path, capfd: Capture) -> None:
    for report in (tmp_path / "none" / "r.html", tmp_path / "r.pdf", tmp_path):
        refused(capfd, tmp_path, "upscale", clip, "-o", tmp_path / "out.mp4", "--report", report, *QUICK)


# Tracebacks -----------------------------------------------------------------------------------------------------------


def test_a_traceback_is_for_those_who_ask(tmp_path: Path, capfd: Capture) -> None:
    assert run(["upscale", str(tmp_path / "none.mp4")]) == 2
    assert "Traceback" not in capfd.readouterr().err
    assert run(["upscale", str(tmp_path / "none.mp4"), "--debug"]) == 2
    said = capfd.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.splitlines()[-1].startswith("deepclarity: ")
