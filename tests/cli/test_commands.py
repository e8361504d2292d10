"""The commands as people use them, and what they say."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepclarity.cli.app import run
from deepclarity.pipelines.datasets.synthetic import pixel_art
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.stream.files.still import Picture, read_picture, write_picture
from tests.conftest import MakeClip, Rgb

Capture = pytest.CaptureFixture[str]
QUICK = ("--speed", "ultrafast", "--device", "cpu", "--size", "320x180")


@pytest.fixture
def broken(tmp_path: Path, painting: Rgb) -> Path:
    path = tmp_path / "broken.png"
    write_picture(path, Picture(np.ascontiguousarray(pixelate(painting, block_px=4)[..., ::-1])))
    return path


def test_upscale_ends_with_a_summary(make_clip: MakeClip, capsys: Capture, tmp_path: Path) -> None:
    clip = make_clip(count=30, size=(320, 180), pixelated=range(10, 20))
    assert run(["upscale", str(clip), *QUICK]) == 0
    said = capsys.readouterr().out
    assert (tmp_path / "clip.clear.mp4").is_file()
    assert "30 in, 30 out: 10 repaired, 0 resized, 20 passed untouched" in said
    assert "0 damaged, 0 dropped" in said
    assert all(stage in said for stage in ("decode", "detect", "enhance", "encode"))


def test_when_nothing_is_pixelated_the_summary_names_all(make_clip: MakeClip, capsys: Capture) -> None:
    assert run(["upscale", str(make_clip(count=5, size=(320, 180))), *QUICK]) == 0
    assert "--all" in capsys.readouterr().out


def test_quiet_says_nothing(make_clip: MakeClip, capsys: Capture) -> None:
    assert run(["upscale", str(make_clip(count=5, size=(320, 180))), *QUICK, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_flags_override_a_preset(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, mine, report = make_clip(count=4, size=(320, 180)), tmp_path / "mine.toml", tmp_path / "out.json"
    mine.write_text('which = "all"\nspeed = "ultrafast"\nsize = "320x180"\n')
    command = ["upscale", str(clip), "--preset", str(mine), "--size", "640x360", "--report", str(report), "-q"]
    assert run(command) == 0
    summary = json.loads(report.read_text())["summary"]
    assert (summary["size"], summary["repaired"]) == ("640x360", 4)


def test_a_terminal_shows_frames_a_second_and_what_is_left(make_clip: MakeClip) -> None:
    clip = make_clip(count=200, size=(640, 360), pixelated=range(200))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "deepclarity", "upscale", str(clip), "--device", "cpu"]
    with subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "120"}
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "frames/s" in text
    assert "ETA" in text
    assert "/200 frames" in text
    assert "repaired" in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says EIO when the other side has gone
        return b""


def test_detect_tells_a_json_object_a_line(broken: Path, make_clip: MakeClip, capsys: Capture) -> None:
    film = make_clip(count=30, pixelated=range(10, 25))
    assert run(["detect", str(broken), str(film), "--json"]) == 0
    picture, video = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {"path", "pixelated", "kind", "score", "block_px", "method", "ms"} <= picture.keys()
    assert (picture["pixelated"], picture["kind"], picture["block_px"], picture["method"]) == (
        True,
        "pixelated",
        4.0,
        "lattice-net",
    )
    assert [(part["first_frame"], part["last_frame"]) for part in video["ranges"]] == [(10, 24)]


def test_pixel_art_is_told_and_counts_only_if_asked(tmp_path: Path, capsys: Capture) -> None:
    pixels, blocks = pixel_art(np.random.default_rng(3), 1280, 720)
    write_picture(tmp_path / "game.png", Picture(pixels))
    told = []
    for options in ([], ["--pixel-art"]):
        assert run(["detect", str(tmp_path / "game.png"), "--json", *options]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [each["kind"] for each in told] == ["pixel-art", "pixelated"]
    assert [each["pixelated"] for each in told] == [False, True]
    assert [each["block_px"] for each in told] == [None, blocks.width_px]


def test_detect_goes_on_after_a_file_that_cannot_be_read(broken: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "aaa.png").write_text("no picture")
    assert run(["detect", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert "broken.png: pixelated" in said.out
    assert "not a picture" in said.err


def test_correct_writes_beside_and_compares(broken: Path, capsys: Capture) -> None:
    assert run(["correct", str(broken), "--compare", "--device", "cpu"]) == 0
    assert read_picture(broken.with_name("broken.clear.png")).pixels.shape == (540, 1280, 3)
    assert broken.with_name("broken.clear.compare.png").is_file()
    assert "repaired" in capsys.readouterr().out


def test_correct_leaves_a_clean_picture_alone(tmp_path: Path, painting: Rgb, capsys: Capture) -> None:
    clean = tmp_path / "clean.png"
    write_picture(clean, Picture(painting))
    assert run(["correct", str(clean), "--device", "cpu"]) == 0
    assert not clean.with_name("clean.clear.png").exists()
    assert "--force" in capsys.readouterr().out


def test_correct_never_replaces_unasked(broken: Path, capsys: Capture) -> None:
    target = broken.with_name("kept.png")
    target.write_bytes(b"mine")
    assert run(["correct", str(broken), "-o", str(target), "--device", "cpu"]) == 2
    assert target.read_bytes() == b"mine"
    assert run(["correct", str(broken), "-o", str(broken), "-y", "--device", "cpu"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_models_lists_what_can_be_chosen(capsys: Capture) -> None:
    assert run(["models"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("turbo", "lanczos", "grid", "default"))
    assert run(["models", "--json"]) == 0
    assert {json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()} >= {"turbo", "lanczos"}


def test_the_demo_needs_nothing_and_shows_everything(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "shown"
    assert run(["demo", "-o", str(folder), "--seconds", "1", "--device", "cpu"]) == 0
    made = {path.name for path in folder.iterdir()}
    assert made == {"pixelated.mp4", "repaired.mp4", "before_after.png", "report.html"}
    said = capsys.readouterr().out
    assert "8 repaired" in said
    assert all(str(folder / name) in said for name in made)


@pytest.mark.parametrize("turned", [False, True])
def test_a_file_that_cannot_be_judged_outweighs_a_damaged_one(
    tmp_path: Path, make_clip: MakeClip, capsys: Capture, turned: bool
) -> None:
    (tmp_path / "junk.png").write_text("no picture")
    film = make_clip(count=40)
    whole = film.read_bytes()
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(whole[: len(whole) // 2] + b"\xff" * 200 + whole[len(whole) // 2 + 200 :])
    paths = [str(tmp_path / "junk.png"), str(torn)]
    assert run(["detect", *(paths[::-1] if turned else paths)]) == 2
    assert "not a picture" in capsys.readouterr().err
