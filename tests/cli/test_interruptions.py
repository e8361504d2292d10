"""Runs that do not get to their end: full disks, signals, stages that fail, readers that leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest

from deepclarity.cli.app import run
from deepclarity.errors import DeviceError, SourceError
from deepclarity.models.verdict import Blocks, Chroma, Kind, Plane, Verdict
from deepclarity.pipelines.fit import SizeWish, fit
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.records import Summary
from deepclarity.pipelines.report.recorder import Notes
from deepclarity.pipelines.upscale import run_pipeline
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.sink import FileSink
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Frame
from deepclarity.stream.info import Colour, VideoInfo
from tests.clips import (
    QUICK,
    Recipe,
    add_sound,
    add_video,
    encode_sound,
    encode_video,
    looks,
    make,
    refused,
    sound,
    start,
    times,
    wait_until_grown,
)
from tests.conftest import MakeClip

Capture = pytest.CaptureFixture[str]

LONG = 300
"""Frames: many more than are done before the signal arrives."""

SLOW = (*QUICK, "--size", "384x216", "--speed", "medium")
"""Nearly all the time is spent inside the encoder, so that is where a signal finds it."""


def make_long(path: Path, count: int = LONG) -> Path:
    """Picture and sound, 25 frames a second."""
    recipe = Recipe(count=count)
    with av.open(str(path), "w") as container:
        video, voice = add_video(container, recipe), add_sound(container)
        encode_video(container, video, recipe)
        encode_sound(container, voice, seconds=count / 25)
    return path


def end(process: subprocess.Popen[bytes], *, limit_s: float) -> tuple[int, str]:
    """Exit code and stderr of a process that must end within `limit_s`."""
    try:
        _, said = process.communicate(timeout=limit_s)
    finally:
        process.kill()
        process.wait()
    return process.returncode, said.decode()


# Signals --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_signal_ends_it_soon_and_what_was_done_plays(
    tmp_path: Path, number: signal.Signals, code: int, ending: str
) -> None:
    clip, target = make_long(tmp_path / "clip.mp4"), tmp_path / f"out.{ending}"
    process = start("upscale", clip, "-o", target, *SLOW)
    wait_until_grown(tmp_path / f"out.partial.{ending}", 6_000, process)
    process.send_signal(number)
    found, said = end(process, limit_s=5)
    assert found == code, said
    assert not target.exists()
    done = times(tmp_path / f"out.partial.{ending}")
    assert 20 < len(done) < LONG
    tolerance = 0.001 if ending == "mkv" else 0
    late = [number for number, (a, b) in enumerate(zip(done, times(clip), strict=False)) if abs(a - b) > tolerance]
    assert late == []  # no hole where the signal struck
    assert said.count("\n") == 1
    assert said.startswith("deepclarity: ")


def test_a_second_ctrl_c_ends_it_as_well(tmp_path: Path) -> None:
    clip, target = make_long(tmp_path / "clip.mp4"), tmp_path / "out.mp4"
    process = start("upscale", clip, "-o", target, *SLOW)
    wait_until_grown(tmp_path / "out.partial.mp4", 6_000, process)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)  # a nervous finger
    found, said = end(process, limit_s=5)
    assert found in (130, -signal.SIGINT)
    assert "Traceback" not in said
    assert not target.exists()


def test_ctrl_c_before_the_first_frame_leaves_nothing(tmp_path: Path) -> None:
    clip = make_long(tmp_path / "clip.mp4", 20)
    process = start("upscale", clip, "-o", tmp_path / "out.mp4", *QUICK)
    process.send_signal(signal.SIGINT)
    found, said = end(process, limit_s=5)
    assert found in (130, -signal.SIGINT)  # Python itself may not have been up yet
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"], said


# Kill and resume ------------------------------------------------------------------------------------------------------


@dataclass
class Killed:
    """A run that was killed, and the same run uninterrupted."""

    folder: Path
    ending: str
    clip: Path
    preset: Path
    whole: Path

    def command(self, target: Path, *options: str) -> list[str]:
        chosen = ["--none", "--size", "320x180", "--preset", str(self.preset), *options]
        return ["upscale", str(self.clip), "-o", str(target), *chosen]

    def copied_to(self, folder: Path) -> Path:
        """The partial file and its ticket in `folder`; the name that the output will have there."""
        for path in (self.folder / "left").iterdir():
            shutil.copy2(path, folder)
        return folder / f"out.{self.ending}"


@pytest.fixture(scope="module", params=["mp4", "mkv"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    folder, ending = tmp_path_factory.mktemp("killed"), request.param
    (folder / "left").mkdir()
    preset = folder / "mine.toml"
    preset.write_text('restart_every_frames = 10\nspeed = "superfast"\n')
    made = Killed(folder, ending, make_long(folder / "clip.mp4", 150), preset, folder / f"whole.{ending}")
    assert run(made.command(made.whole)) == 0
    process = start(*made.command(folder / "left" / f"out.{ending}"))
    wait_until_grown(folder / "left" / f"out.partial.{ending}", 15_000, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return made


def kill_again(killed: Killed, target: Path, least_bytes: int) -> None:
    process = start(*killed.command(target, "--resume"))
    wait_until_grown(target.with_name(f"out.partial.{killed.ending}"), least_bytes, process)
    process.kill()
    process.communicate()


def assert_whole(target: Path, killed: Killed) -> None:
    """Frame by frame, time by time, what an uninterrupted run gives; and nothing else left beside it."""
    assert looks(target) == looks(killed.whole)
    assert sound(target) == sound(killed.whole) != []
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_killed_run_is_resumed_as_if_nothing_had_happened(killed: Killed, tmp_path: Path, capfd: Capture) -> None:
    target = killed.copied_to(tmp_path)
    assert not target.exists()
    assert run(killed.command(target, "--resume", "--debug")) == 0
    said = capfd.readouterr().err
    number = int(said.split("resuming after ")[1].split()[0])
    assert number >= 10
    assert number % 10 == 0
    assert_whole(target, killed)


def test_a_run_killed_twice_is_resumed_all_the_same(killed: Killed, tmp_path: Path) -> None:
    target = killed.copied_to(tmp_path)
    kill_again(killed, target, 1_000)
    assert run(killed.command(target, "--resume")) == 0
    assert_whole(target, killed)


def test_a_killed_run_begun_again_leaves_nothing_of_the_first(killed: Killed, tmp_path: Path) -> None:
    target = killed.copied_to(tmp_path)
    assert run(killed.command(target)) == 0
    assert_whole(target, killed)


def test_a_kill_costs_little_more_than_a_second(killed: Killed, tmp_path: Path) -> None:
    partial, seen = tmp_path / f"out.partial.{killed.ending}", tmp_path / f"seen.{killed.ending}"
    settings = EncodeSettings(speed="superfast")
    with FileSource(killed.clip) as source:
        info, planar = source.info, source.planar
        with FileSink(
            tmp_path / f"out.{killed.ending}", info=info, size=(160, 90), planar=planar, settings=settings
        ) as sink:
            for frame in source:
                sink.write(frame)
                if frame.index == 120:
                    shutil.copyfile(partial, seen)
    assert len(looks(seen)) >= 120 - 25 - 15  # a second of 25 frames, and what is still inside the encoder


def test_nothing_to_resume_is_no_reason_to_complain(killed: Killed, tmp_path: Path) -> None:
    assert run(killed.command(tmp_path / f"out.{killed.ending}", "--resume")) == 0
    assert_whole(tmp_path / f"out.{killed.ending}", killed)


@pytest.mark.parametrize(
    "change",
    [["--crf", "30"], ["--size", "160x90"], ["--speed", "ultrafast"], ["--codec", "hevc"], ["--preset", "default"]],
)
def test_with_other_settings_it_is_not_resumed(
    killed: Killed, tmp_path: Path, capfd: Capture, change: list[str]
) -> None:
    target = killed.copied_to(tmp_path)
    said = refused(capfd, tmp_path, *killed.command(target, "--resume", *change))
    assert "resume" in said


def test_another_input_is_not_resumed(killed: Killed, tmp_path: Path, capfd: Capture) -> None:
    other = killed.folder / "other.mp4"
    shutil.copyfile(killed.clip, other)
    os.utime(other, (1, 1))
    target = killed.copied_to(tmp_path)
    command = [str(other) if word == str(killed.clip) else word for word in killed.command(target, "--resume")]
    assert "input" in refused(capfd, tmp_path, *command)


@pytest.mark.parametrize("ticket", ["", "{", "[]", '"text"', "null"])
def test_a_spoilt_ticket_is_refused_or_passed_over(
    killed: Killed, tmp_path: Path, capfd: Capture, resume_token: str
) -> None:
    target = killed.copied_to(tmp_path)
    (tmp_path / f"out.partial.{killed.ending}.json").write_text(resume_token)
    code = run(killed.command(target, "--resume"))
    said = capfd.readouterr().err
    assert code in (0, 2), said
    if code == 0:
        assert_whole(target, killed)
    else:
        assert "internal error" not in said


@pytest.mark.parametrize("left", [0, 5_000])
def test_a_partial_file_of_no_use_is_begun_again(killed: Killed, tmp_path: Path, left: int) -> None:
    target = killed.copied_to(tmp_path)
    partial = tmp_path / f"out.partial.{killed.ending}"
    partial.write_bytes(partial.read_bytes()[:left])
    assert run(killed.command(target, "--resume")) == 0
    assert_whole(target, killed)


def test_the_ticket_says_nothing_secret_and_can_be_read(killed: Killed, tmp_path: Path) -> None:
    killed.copied_to(tmp_path)
    resume_token = json.loads((tmp_path / f"out.partial.{killed.ending}.json").read_text())
    assert str(killed.clip) in resume_token["input"]


def assert_tidy(folder: Path, ending: str) -> None:
    """Nothing but, perhaps, the part that was done, and the ticket to resume it only beside that."""
    left = {path.name for path in folder.iterdir()} - {"filler"}
    assert left <= {f"out.partial.{ending}", f"out.partial.{ending}.json"}
    assert left != {f"out.partial.{ending}.json"}


# Full disks -----------------------------------------------------------------------------------------------------------


@dataclass
class Disk:
    """A small disk of its own."""

    path: Path

    def fill(self, *, leave_bytes: int) -> None:
        free = shutil.disk_usage(self.path).free
        (self.path / "filler").write_bytes(bytes(max(0, free - leave_bytes)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    place = tmp_path / "disk"
    place.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], check=False, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("NO `mount` HERE: WHAT HAPPENS ON A FULL DISK GOES UNTESTED")
    if done.returncode:
        pytest.skip("MAY NOT MOUNT A TMPFS HERE (NOT ROOT?): WHAT HAPPENS ON A FULL DISK GOES UNTESTED")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("free", [0, 4096, 16_384, 200_000])
def test_a_full_disk_is_named(disk: Disk, tmp_path: Path, capfd: Capture, free: int, ending: str) -> None:
    clip, target = make_long(tmp_path / "clip.mp4", 100), disk.path / f"out.{ending}"
    disk.fill(leave_bytes=free)
    began = time.monotonic()
    code = run(["upscale", str(clip), "-o", str(target), *QUICK, "--size", "640x360", "--crf", "1"])
    assert time.monotonic() - began < 20
    said = capfd.readouterr().err
    assert code == 4, said
    assert said.startswith("deepclarity: ")
    assert said.count("\n") == 1
    assert str(target) in said
    assert "no space" in said
    assert_tidy(disk.path, ending)


def test_no_room_for_the_second_copy_keeps_the_first(disk: Disk, tmp_path: Path, capfd: Capture) -> None:
    clip, command = make_long(tmp_path / "clip.mp4", 50), [*QUICK, "--size", "320x180", "--crf", "8"]
    assert run(["upscale", str(clip), "-o", str(tmp_path / "trial.mp4"), *command]) == 0
    disk.fill(leave_bytes=(tmp_path / "trial.mp4").stat().st_size * 3 // 2)
    capfd.readouterr()
    code = run(["upscale", str(clip), "-o", str(disk.path / "out.mp4"), *command])
    said = capfd.readouterr().err
    assert (code, "no space" in said) == (4, True), said
    assert_tidy(disk.path, "mp4")
    assert len(times(disk.path / "out.partial.mp4")) == 50  # the work of hours is not thrown away


def test_a_report_for_a_full_disk_does_not_cost_the_video(disk: Disk, tmp_path: Path, capfd: Capture) -> None:
    clip, target = make_long(tmp_path / "clip.mp4", 10), tmp_path / "out.mp4"
    disk.fill(leave_bytes=0)
    assert run(["upscale", str(clip), "-o", str(target), *QUICK, "--report", str(disk.path / "r.json")]) == 4
    assert "no space" in capfd.readouterr().err.lower()
    assert len(times(target)) == 10


def test_a_failure_before_the_first_frame_leaves_nothing(tmp_path: Path, capfd: Capture) -> None:
    recipe = Recipe(codec="mpeg2video", options={"flags": "+ildct+ilme"})
    clip = make(tmp_path / "clip.mkv", recipe)  # x264 refuses to open for fields of 45 rows, until that is seen to
    code = run(["upscale", str(clip), "-o", str(tmp_path / "out.mp4"), *QUICK])
    capfd.readouterr()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == ({"clip.mkv", "out.mp4"} if code == 0 else {"clip.mkv"})


# Stages that fail -----------------------------------------------------------------------------------------------------


@dataclass
class Basket:
    """A sink that keeps the numbers of what it was given, and may fail."""

    fail_at: int | None = None
    indices: list[int] = field(default_factory=list)
    busy_s: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def write(self, frame: Frame) -> None:
        if frame.index == self.fail_at:
            raise ZeroDivisionError("the sink failed")
        self.indices.append(frame.index)


@dataclass
class Tired:
    """A detector that finds blocks everywhere until it fails."""

    fail_at: int | None = None
    name: str = "tired"
    seen: int = 0

    def __call__(self, luma: Plane, *, max_value: int = 255, chroma: Chroma | None = None) -> Verdict:
        if self.seen == self.fail_at:
            raise ZeroDivisionError("the detector failed")
        self.seen += 1
        return Verdict(0.99, Kind.PIXELATED, Blocks(2, 2))


@dataclass
class Moody:
    """An enhancer that fails with `error` from a certain call on, for as many calls."""

    error: Exception
    fail_from: int
    failures: int = 10**9
    name: str = "moody"
    backend: str = "none"
    scales: tuple[int, ...] = (2,)
    calls: int = 0

    def __call__(self, luma: Plane, *, scale: int, max_value: int = 255) -> Plane:
        self.calls += 1
        if self.fail_from <= self.calls < self.fail_from + self.failures:
            raise self.error
        return luma.repeat(scale, axis=0).repeat(scale, axis=1)

    def close(self) -> None:
        return


class Torn:
    """A source that fails after ten frames."""

    def __init__(self, source: FileSource) -> None:
        self.info, self.when_full, self._source = source.info, source.when_full, source
        self.damaged = self.retimed = 0
        self.busy_s = 0.0

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            if frame.index == 10:
                raise SourceError("the cable was pulled")
            yield frame


@dataclass
class Run:
    """A corridor of small parts, each of which can be exchanged for one that fails."""

    source: FileSource
    sink: Basket = field(default_factory=Basket)
    detector: Tired = field(default_factory=Tired)
    enhancer: Moody | None = None
    torn: bool = False
    summary: Summary = field(default_factory=Summary)

    def go(self, progress_fails: bool = False) -> None:
        def progress(summary: Summary, info: VideoInfo) -> None:
            if progress_fails and summary.frames_out == 10:
                raise ZeroDivisionError("the progress bar failed")

        run_pipeline(
            Torn(self.source) if self.torn else self.source,
            self.sink,
            detector=self.detector,
            enhancer=self.enhancer,
            preset=Preset(),
            fit=fit(self.source.info, SizeWish.parse("320x180")),
            notes=Notes(self.summary, "yuv420p", Colour(), want_pictures=False),
            progress=progress,
        )


@pytest.fixture
def a_run(make_clip: MakeClip) -> Iterator[Run]:
    before = threading.active_count()
    with FileSource(make_clip(count=30, size=(160, 90))) as source:
        yield Run(source)
    assert threading.active_count() == before


def test_a_source_that_fails_is_reported_behind_its_frames(a_run: Run) -> None:
    a_run.torn = True
    with pytest.raises(SourceError, match="cable"):
        a_run.go()
    assert a_run.sink.indices == list(range(len(a_run.sink.indices)))
    assert len(a_run.sink.indices) == 10


def test_a_detector_that_fails_is_reported(a_run: Run) -> None:
    a_run.detector.fail_at = 10
    with pytest.raises(ZeroDivisionError, match="detector"):
        a_run.go()
    assert a_run.sink.indices == list(range(10))


def test_a_sink_that_fails_is_reported(a_run: Run) -> None:
    a_run.sink.fail_at = 10
    with pytest.raises(ZeroDivisionError, match="sink"):
        a_run.go()
    assert a_run.sink.indices == list(range(10))


def test_a_progress_bar_that_fails_is_reported(a_run: Run) -> None:
    with pytest.raises(ZeroDivisionError, match="progress"):
        a_run.go(progress_fails=True)


def test_a_bug_in_the_enhancer_is_reported(a_run: Run) -> None:
    a_run.enhancer = Moody(ZeroDivisionError("the enhancer failed"), fail_from=5)
    with pytest.raises(ZeroDivisionError, match="enhancer"):
        a_run.go()
    assert a_run.sink.indices == list(range(len(a_run.sink.indices)))


@pytest.mark.parametrize("error", [DeviceError("lost"), MemoryError("out of it")])
def test_a_device_that_stumbles_costs_no_frame(a_run: Run, error: Exception) -> None:
    a_run.enhancer = Moody(error, fail_from=5, failures=3)
    a_run.go()
    assert a_run.sink.indices == list(range(30))
    assert a_run.summary.fallback == 3
    assert a_run.summary.repaired + a_run.summary.resized == a_run.summary.frames_out == 30


def test_a_device_that_is_lost_is_reported(a_run: Run) -> None:
    a_run.enhancer = Moody(DeviceError("lost"), fail_from=5)
    with pytest.raises(DeviceError, match="in a row"):
        a_run.go()
    assert a_run.sink.indices == list(range(len(a_run.sink.indices)))


# Readers that leave ---------------------------------------------------------------------------------------------------


def run_deaf(*arguments: str | Path) -> tuple[int, str]:
    """A command whose stdout nobody reads any more."""
    process = start(*arguments)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    return end(process, limit_s=30)


@pytest.mark.parametrize("command", [["models"], ["--help"], ["--version"], ["upscale", "--help"]])
def test_a_reader_who_leaves_is_not_shouted_after(command: Iterable[str]) -> None:
    code, said = run_deaf(*command)
    assert said == ""
    assert code == 141


def test_the_video_is_finished_even_if_nobody_reads_the_summary(tmp_path: Path) -> None:
    clip = make_long(tmp_path / "clip.mp4", 10)
    code, said = run_deaf("upscale", clip, "-o", tmp_path / "out.mp4", *QUICK)
    assert said == ""
    assert code in (0, 141)
    assert times(tmp_path / "out.mp4") == times(clip)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]


@pytest.mark.parametrize("command", [["models"], ["--help"]])
def test_an_output_that_cannot_be_printed_is_an_output_error(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "deepclarity", *command],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
        )
    assert (done.returncode, done.stderr.count(b"\n")) == (4, 1), done.stderr
    assert b"no space" in done.stderr.lower()


def test_without_any_stdout_and_stderr_it_works_in_silence(tmp_path: Path) -> None:
    clip = make_long(tmp_path / "clip.mp4", 10)
    words = [sys.executable, "-m", "deepclarity", "upscale", str(clip), "-o", str(tmp_path / "out.mp4"), *QUICK]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *words], check=False, timeout=30)
    assert done.returncode == 0
    assert times(tmp_path / "out.mp4") == times(clip)
