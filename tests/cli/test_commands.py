"""The commands end to end: output files, printed text and exit codes."""

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
def pixelated_picture(tmp_path: Path, painting: Rgb) -> Path:
    path = tmp_path / "pixelated.png"
    write_picture(path, Picture(np.ascontiguousarray(pixelate(painting, block_px=4)[..., ::-1])))
    return path


def test_upscale_prints_a_summary(make_clip: MakeClip, capsys: Capture, tmp_path: Path) -> None:
    clip = make_clip(count=30, size=(320, 180), pixelated=range(10, 20))
    assert run(["upscale", str(clip), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "clip.clear.mp4").is_file()
    assert "30 in, 30 out: 10 repaired, 0 resized, 20 unchanged" in printed
    assert "0 damaged, 0 dropped" in printed
    assert all(stage in printed for stage in ("decode", "detect", "enhance", "encode"))


def test_summary_suggests_all_if_no_frame_is_pixelated(make_clip: MakeClip, capsys: Capture) -> None:
    assert run(["upscale", str(make_clip(count=5, size=(320, 180))), *QUICK]) == 0
    assert "--all" in capsys.readouterr().out


def test_quiet_prints_nothing(make_clip: MakeClip, capsys: Capture) -> None:
    assert run(["upscale", str(make_clip(count=5, size=(320, 180))), *QUICK, "-q"]) == 0
    assert capsys.readouterr() == ("", "")


def test_options_override_the_preset(make_clip: MakeClip, tmp_path: Path) -> None:
    clip, mine, report = make_clip(count=4, size=(320, 180)), tmp_path / "mine.toml", tmp_path / "out.json"
    mine.write_text('which = "all"\nspeed = "ultrafast"\nsize = "320x180"\n')
    command = ["upscale", str(clip), "--preset", str(mine), "--size", "640x360", "--report", str(report), "-q"]
    assert run(command) == 0
    summary = json.loads(report.read_text())["summary"]
    assert (summary["size"], summary["repaired"]) == ("640x360", 4)


def test_progress_bar_shows_frames_per_second_and_eta(make_clip: MakeClip) -> None:
    clip = make_clip(count=200, size=(640, 360), pixelated=range(200))
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "deepclarity", "upscale", str(clip), "--device", "cpu"]
    with subprocess.Popen(
        command, stderr=slave, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "120"}
    ) as process:
        os.close(slave)
        shown = b""
        while chunk := _read(master):
            shown += chunk
    os.close(master)
    assert process.returncode == 0
    text = shown.decode()
    assert "frames/s" in text
    assert "ETA" in text
    assert "/200 frames" in text
    assert "repaired" in text


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux raises EIO when the other end is closed
        return b""


def test_detect_json_prints_one_object_per_line(pixelated_picture: Path, make_clip: MakeClip, capsys: Capture) -> None:
    film = make_clip(count=30, pixelated=range(10, 25))
    assert run(["detect", str(pixelated_picture), str(film), "--json"]) == 0
    picture, video = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {"path", "pixelated", "kind", "score", "block_px", "method", "ms"} <= picture.keys()
    assert (picture["pixelated"], picture["kind"], picture["block_px"], picture["method"]) == (
        True,
        "pixelated",
        4.0,
        "lattice-net",
    )
    assert [(part["first_frame"], part["last_frame"]) for part in video["ranges"]] == [(10, 24)]


def test_pixel_art_counts_as_pixelated_only_with_the_option(tmp_path: Path, capsys: Capture) -> None:
    pixels, blocks = pixel_art(np.random.default_rng(3), 1280, 720)
    write_picture(tmp_path / "game.png", Picture(pixels))
    verdicts = []
    for options in ([], ["--pixel-art"]):
        assert run(["detect", str(tmp_path / "game.png"), "--json", *options]) == 0
        verdicts.append(json.loads(capsys.readouterr().out))
    assert [verdict["kind"] for verdict in verdicts] == ["pixel-art", "pixelated"]
    assert [verdict["pixelated"] for verdict in verdicts] == [False, True]
    assert [verdict["block_px"] for verdict in verdicts] == [None, blocks.width_px]


def test_detect_continues_after_an_unreadable_file(pixelated_picture: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "aaa.png").write_text("no picture")
    assert run(["detect", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert "pixelated.png: pixelated" in printed.out
    assert "not a picture" in printed.err


def test_correct_writes_output_and_comparison(pixelated_picture: Path, capsys: Capture) -> None:
    assert run(["correct", str(pixelated_picture), "--compare", "--device", "cpu"]) == 0
    assert read_picture(pixelated_picture.with_name("pixelated.clear.png")).pixels.shape == (540, 1280, 3)
    assert pixelated_picture.with_name("pixelated.clear.compare.png").is_file()
    assert "repaired" in capsys.readouterr().out


def test_correct_writes_nothing_for_a_clean_picture(tmp_path: Path, painting: Rgb, capsys: Capture) -> None:
    clean = tmp_path / "clean.png"
    write_picture(clean, Picture(painting))
    assert run(["correct", str(clean), "--device", "cpu"]) == 0
    assert not clean.with_name("clean.clear.png").exists()
    assert "--force" in capsys.readouterr().out


def test_correct_never_overwrites_without_yes(pixelated_picture: Path, capsys: Capture) -> None:
    target = pixelated_picture.with_name("kept.png")
    target.write_bytes(b"mine")
    assert run(["correct", str(pixelated_picture), "-o", str(target), "--device", "cpu"]) == 2
    assert target.read_bytes() == b"mine"
    assert run(["correct", str(pixelated_picture), "-o", str(pixelated_picture), "-y", "--device", "cpu"]) == 2
    assert "already exists" in capsys.readouterr().err


def test_models_lists_models_and_presets(capsys: Capture) -> None:
    assert run(["models"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("turbo", "lanczos", "grid", "default"))
    assert run(["models", "--json"]) == 0
    assert {json.loads(line)["name"] for line in capsys.readouterr().out.splitlines()} >= {"turbo", "lanczos"}


def test_demo_writes_all_files_and_prints_their_paths(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "shown"
    assert run(["demo", "-o", str(folder), "--seconds", "1", "--device", "cpu"]) == 0
    written = {path.name for path in folder.iterdir()}
    assert written == {"pixelated.mp4", "repaired.mp4", "before_after.png", "report.html"}
    printed = capsys.readouterr().out
    assert "8 repaired" in printed
    assert all(str(folder / name) in printed for name in written)


@pytest.mark.parametrize("reverse", [False, True])
def test_unreadable_file_takes_precedence_over_damaged_file_in_exit_code(
    tmp_path: Path, make_clip: MakeClip, capsys: Capture, reverse: bool
) -> None:
    (tmp_path / "junk.png").write_text("no picture")
    film = make_clip(count=40)
    complete = film.read_bytes()
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(complete[: len(complete) // 2] + b"\xff" * 200 + complete[len(complete) // 2 + 200 :])
    paths = [str(tmp_path / "junk.png"), str(damaged)]
    assert run(["detect", *(paths[::-1] if reverse else paths)]) == 2
    assert "not a picture" in capsys.readouterr().err
