"""Resume of killed runs: `upscale --resume`."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepclarity.cli.app import run
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.sink import FileSink
from deepclarity.stream.files.source import FileSource
from tests.clips import encode_long_clip
from tests.commands import expect_error, start_command, wait_for_size
from tests.decoding import audio_hashes, decode_frames

Capture = pytest.CaptureFixture[str]


@dataclass
class KilledRun:
    """A run that was killed, and the output of the same run without interruption."""

    folder: Path
    extension: str
    clip: Path
    preset: Path
    complete: Path

    def command(self, target: Path, *options: str) -> list[str]:
        arguments = ["--none", "--size", "320x180", "--preset", str(self.preset), *options]
        return ["upscale", str(self.clip), "-o", str(target), *arguments]

    def copy_to(self, folder: Path) -> Path:
        """Copy the partial file and its resume token to `folder`; returns the path of the output there."""
        for path in (self.folder / "partial").iterdir():
            shutil.copy2(path, folder)
        return folder / f"out.{self.extension}"


@pytest.fixture(scope="module", params=["mp4", "mkv"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KilledRun:
    folder, extension = tmp_path_factory.mktemp("killed"), request.param
    (folder / "partial").mkdir()
    preset = folder / "mine.toml"
    preset.write_text('restart_every_frames = 10\nspeed = "superfast"\n')
    result = KilledRun(
        folder, extension, encode_long_clip(folder / "clip.mp4", 150), preset, folder / f"complete.{extension}"
    )
    assert run(result.command(result.complete)) == 0
    process = start_command(*result.command(folder / "partial" / f"out.{extension}"))
    wait_for_size(folder / "partial" / f"out.partial.{extension}", 15_000, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return result


def kill_resumed_run(killed: KilledRun, target: Path, min_bytes: int) -> None:
    process = start_command(*killed.command(target, "--resume"))
    wait_for_size(target.with_name(f"out.partial.{killed.extension}"), min_bytes, process)
    process.kill()
    process.communicate()


def assert_complete(target: Path, killed: KilledRun) -> None:
    """Frames, times and audio are those of an uninterrupted run, and no other file is left."""
    assert decode_frames(target) == decode_frames(killed.complete)
    assert audio_hashes(target) == audio_hashes(killed.complete) != []
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_resume_after_sigkill_gives_identical_frames(killed: KilledRun, tmp_path: Path, capfd: Capture) -> None:
    target = killed.copy_to(tmp_path)
    assert not target.exists()
    assert run(killed.command(target, "--resume", "--debug")) == 0
    stderr = capfd.readouterr().err
    number = int(stderr.split("resuming after ")[1].split()[0])
    assert number >= 10
    assert number % 10 == 0
    assert_complete(target, killed)


def test_resume_after_two_kills_gives_identical_frames(killed: KilledRun, tmp_path: Path) -> None:
    target = killed.copy_to(tmp_path)
    kill_resumed_run(killed, target, 1_000)
    assert run(killed.command(target, "--resume")) == 0
    assert_complete(target, killed)


def test_restart_without_resume_replaces_the_partial_file(killed: KilledRun, tmp_path: Path) -> None:
    target = killed.copy_to(tmp_path)
    assert run(killed.command(target)) == 0
    assert_complete(target, killed)


def test_partial_file_lags_at_most_one_second_and_the_encoder_delay(killed: KilledRun, tmp_path: Path) -> None:
    partial, copy = tmp_path / f"out.partial.{killed.extension}", tmp_path / f"copy.{killed.extension}"
    settings = EncodeSettings(speed="superfast")
    with FileSource(killed.clip) as source:
        info, pixel_format = source.info, source.pixel_format
        with FileSink(
            tmp_path / f"out.{killed.extension}",
            info=info,
            size=(160, 90),
            pixel_format=pixel_format,
            settings=settings,
        ) as sink:
            for frame in source:
                sink.write(frame)
                if frame.index == 120:
                    shutil.copyfile(partial, copy)
    assert len(decode_frames(copy)) >= 120 - 25 - 15  # 1 s at 25 fps, and the delay of the encoder


def test_resume_without_partial_file_starts_from_the_beginning(killed: KilledRun, tmp_path: Path) -> None:
    assert run(killed.command(tmp_path / f"out.{killed.extension}", "--resume")) == 0
    assert_complete(tmp_path / f"out.{killed.extension}", killed)


@pytest.mark.parametrize(
    "change",
    [["--crf", "30"], ["--size", "160x90"], ["--speed", "ultrafast"], ["--codec", "hevc"], ["--preset", "default"]],
)
def test_resume_with_other_settings_is_refused(
    killed: KilledRun, tmp_path: Path, capfd: Capture, change: list[str]
) -> None:
    target = killed.copy_to(tmp_path)
    stderr = expect_error(capfd, tmp_path, *killed.command(target, "--resume", *change))
    assert "resume" in stderr


def test_resume_with_another_input_is_refused(killed: KilledRun, tmp_path: Path, capfd: Capture) -> None:
    other = killed.folder / "other.mp4"
    shutil.copyfile(killed.clip, other)
    os.utime(other, (1, 1))
    target = killed.copy_to(tmp_path)
    command = [str(other) if word == str(killed.clip) else word for word in killed.command(target, "--resume")]
    assert "input" in expect_error(capfd, tmp_path, *command)


@pytest.mark.parametrize("resume_token", ["", "{", "[]", '"text"', "null"])
def test_invalid_resume_token_is_refused_or_ignored(
    killed: KilledRun, tmp_path: Path, capfd: Capture, resume_token: str
) -> None:
    target = killed.copy_to(tmp_path)
    (tmp_path / f"out.partial.{killed.extension}.json").write_text(resume_token)
    code = run(killed.command(target, "--resume"))
    stderr = capfd.readouterr().err
    assert code in (0, 2), stderr
    if code == 0:
        assert_complete(target, killed)
    else:
        assert "internal error" not in stderr


@pytest.mark.parametrize("kept_bytes", [0, 5_000])
def test_truncated_partial_file_restarts_the_run(killed: KilledRun, tmp_path: Path, kept_bytes: int) -> None:
    target = killed.copy_to(tmp_path)
    partial = tmp_path / f"out.partial.{killed.extension}"
    partial.write_bytes(partial.read_bytes()[:kept_bytes])
    assert run(killed.command(target, "--resume")) == 0
    assert_complete(target, killed)


def test_resume_token_is_readable_json_with_the_input_path(killed: KilledRun, tmp_path: Path) -> None:
    killed.copy_to(tmp_path)
    resume_token = json.loads((tmp_path / f"out.partial.{killed.extension}.json").read_text())
    assert str(killed.clip) in resume_token["input"]
