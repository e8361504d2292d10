"""`deepclarity upscale - -o -`: video through the pipes of the operating system."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.captioned_clips import add_captions, side_data
from tests.clips import ClipSpec, add_audio, add_video, encode_audio, encode_clip, encode_long_clip, encode_video
from tests.commands import expect_error, start_command, wait_for_exit
from tests.decoding import audio_hashes, decode_frames, frame_times
from tests.interlaced_clips import FieldSpec, encode_fields, interlaced

OPTIONS = ("-q", "--none", "--size", "160x90", "--speed", "ultrafast")


def through_pipes(source: Path, target: Path, *options: str) -> tuple[int, str]:
    """Send a file through `deepclarity upscale - -o -`, 10,000 bytes at a time; returns exit code and stderr."""
    command = [sys.executable, "-m", "deepclarity", "upscale", "-", "-o", "-", *OPTIONS, *options]
    with target.open("wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE)
        assert process.stdin is not None
        content = source.read_bytes()
        for start in range(0, len(content), 10_000):
            process.stdin.write(content[start : start + 10_000])
        process.stdin.close()
        process.stdin = None
        return wait_for_exit(process, timeout_s=60)


@pytest.fixture
def uneven(tmp_path: Path) -> Path:
    """A Matroska file with uneven times and sound."""
    spec = ClipSpec(pts=[0, 40, 80, 120, 240, 300, 301, 400, 460, 480], time_base=Fraction(1, 1000))
    path = tmp_path / "uneven.mkv"
    with av.open(str(path), "w") as container:
        video, audio = add_video(container, spec), add_audio(container)
        encode_audio(container, audio, seconds=0.5)
        encode_video(container, video, spec)
    return path


@pytest.mark.parametrize(("name", "codec"), [("nut", "rawvideo"), ("mkv", "h264"), ("ts", "h264")])
def test_every_frame_its_time_and_the_sound_come_through(tmp_path: Path, uneven: Path, name: str, codec: str) -> None:
    target = tmp_path / f"out.{name}"
    assert through_pipes(uneven, target, "--format", name) == (0, "")
    before, after = frame_times(uneven), frame_times(target)
    start = after[0] - before[0]
    assert 0 <= start < Fraction(30, 1000)  # without negative times all tracks move, by what AAC begins before 0
    assert max(abs(b - a - start) for a, b in zip(before, after, strict=True)) <= Fraction(1, 90_000)
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.name == codec
        assert container.streams.audio[0].codec_context.name == "aac"
    if name != "ts":  # which puts a header in front of every packet of AAC
        assert audio_hashes(target) == audio_hashes(uneven)


def test_pipes_are_deinterlaced_and_captioned_as_files_are(tmp_path: Path) -> None:
    encode_fields(tmp_path / "i.ts", interlaced(12), FieldSpec(codec="libx264"))
    source, target, raw = add_captions(tmp_path / "i.ts", tmp_path / "in.ts"), tmp_path / "o.mkv", tmp_path / "o.nut"
    assert through_pipes(source, target, "--format", "mkv", "--deinterlace", "field") == (0, "")
    assert [time - frame_times(target)[0] for time in frame_times(target)] == [Fraction(n, 50) for n in range(24)]
    assert list(side_data(target).values()) == list(side_data(source).values())
    assert through_pipes(source, raw) == (0, "warning: left out: closed captions\n")


def test_times_from_pipes_follow_the_best_effort_rule_as_those_of_files(tmp_path: Path) -> None:
    options = {"bf": "2", "b_strategy": "0"}
    clip = encode_clip(tmp_path / "film.avi", ClipSpec(codec="mpeg4", count=20, options=options))
    assert through_pipes(clip, tmp_path / "out.nut") == (0, "")
    times = frame_times(tmp_path / "out.nut")
    assert [time - times[0] for time in times] == [Fraction(number, 25) for number in range(20)]


def test_raw_pictures_are_the_decoders_own(tmp_path: Path, uneven: Path) -> None:
    assert through_pipes(uneven, tmp_path / "out.nut") == (0, "")
    before, after = decode_frames(uneven), decode_frames(tmp_path / "out.nut")
    assert [frame.brightness for frame in after] == [frame.brightness for frame in before]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuvj420p"])
def test_y4m_goes_in_and_out(tmp_path: Path, pixel_format: str) -> None:
    codec = "mjpeg" if pixel_format == "yuvj420p" else "ffv1"
    clip = encode_clip(tmp_path / "clip.mkv", ClipSpec(codec=codec, pixel_format=pixel_format))
    assert through_pipes(clip, tmp_path / "one.y4m", "--format", "y4m") == (0, "")
    assert through_pipes(tmp_path / "one.y4m", tmp_path / "two.y4m", "--format", "y4m") == (0, "")
    assert (tmp_path / "one.y4m").read_bytes() == (tmp_path / "two.y4m").read_bytes()
    assert frame_times(tmp_path / "two.y4m") == [Fraction(number, 25) for number in range(10)]
    before, after = decode_frames(clip), decode_frames(tmp_path / "two.y4m")
    assert [frame.brightness for frame in after] == [frame.brightness for frame in before]


def test_uneven_times_that_y4m_cannot_hold_are_reported(tmp_path: Path, uneven: Path) -> None:
    code, stderr = through_pipes(uneven, tmp_path / "out.y4m", "--format", "y4m")
    assert code == 0
    assert "y4m has no timestamps" in stderr
    assert "which y4m does not support" in stderr.replace("yuv4mpegpipe", "y4m")
    assert len(frame_times(tmp_path / "out.y4m")) == 10


def test_a_fragmented_mp4_can_be_read_but_not_one_with_its_index_at_the_end(tmp_path: Path) -> None:
    options = {"movflags": "frag_keyframe+empty_moov"}
    fragmented = encode_clip(tmp_path / "fragmented.mp4", ClipSpec(container_options=options))
    assert through_pipes(fragmented, tmp_path / "out.nut") == (0, "")
    assert frame_times(tmp_path / "out.nut") == frame_times(fragmented)
    large = ClipSpec(codec="rawvideo", count=60)  # FFmpeg finds the index within what it has buffered
    code, stderr = through_pipes(encode_clip(tmp_path / "plain.mov", large), tmp_path / "none.nut")
    assert code == 2
    assert stderr == (
        "deepclarity: standard input: an mp4 whose index is at its end cannot be read from a pipe. Name the file.\n"
    )
    assert (tmp_path / "none.nut").read_bytes() == b""


def test_nothing_readable_is_one_line_and_no_output(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"no video at all" * 1000)
    code, stderr = through_pipes(tmp_path / "noise", tmp_path / "out.nut")
    assert (code, stderr.count("\n")) == (2, 1)
    assert (tmp_path / "out.nut").read_bytes() == b""


def test_a_file_to_a_pipe_prints_its_summary_to_stderr(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "clip.mp4", ClipSpec())
    process = start_command("upscale", clip, "-o", "-", *OPTIONS[1:])
    stdout, stderr = process.communicate(timeout=60)
    (tmp_path / "out.nut").write_bytes(stdout)
    assert frame_times(tmp_path / "out.nut") == frame_times(clip)
    assert stderr.startswith(b"standard output: 160x90")


@pytest.mark.parametrize(("name", "kept"), [("mkv", True), ("nut", False), ("ts", False)])
def test_rotation_is_kept_or_its_loss_is_named(tmp_path: Path, name: str, kept: bool) -> None:
    clip = encode_clip(tmp_path / "clip.mp4", ClipSpec(rotation=90))
    process = start_command("upscale", clip, "-o", "-", "--format", name, *OPTIONS)
    stdout, stderr = process.communicate(timeout=60)
    (tmp_path / f"out.{name}").write_bytes(stdout)
    with av.open(str(tmp_path / f"out.{name}")) as container:
        assert (next(container.decode(video=0)).rotation == 90) == kept
    assert (b"rotation left out" in stderr) != kept


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    clip = encode_long_clip(tmp_path / "long.mp4", 200)
    process = start_command("upscale", clip, "-o", "-", *OPTIONS)
    assert process.stdout is not None
    assert process.stdout.read(1000)
    process.stdout.close()
    process.stdout = None
    assert wait_for_exit(process, timeout_s=30) == (141, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("waits_for", ["input", "output"])
def test_a_signal_ends_it_while_it_waits(tmp_path: Path, uneven: Path, number: int, waits_for: str) -> None:
    source = uneven if waits_for == "input" else encode_long_clip(tmp_path / "long.mkv", 300)
    command = [sys.executable, "-m", "deepclarity", "upscale", "-", "-o", "-", *OPTIONS]
    with source.open("rb") as file:
        stdin = subprocess.PIPE if waits_for == "input" else file
        process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    if process.stdin is not None:
        process.stdin.write(source.read_bytes())
        process.stdin.flush()
    process.stdout.read(10_000)
    process.send_signal(number)
    if process.stdin is not None:
        assert process.wait(timeout=30) == 128 + number
        process.stdin.close()
        process.stdin = None
    stopped = "terminated" if number == signal.SIGTERM else "stopped"
    assert wait_for_exit(process, timeout_s=30) == (128 + number, f"deepclarity: {stopped}.\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-", "-q"), "Add -o FILE"),
        (("-", "-o", "-", "--format", "avi"), "unknown format for pipes"),
        (("-", "-o", "out.mp4", "--format", "nut"), "for -o - only"),
        (("-", "-o", "-", "--format", "y4m", "--codec", "h264"), "raw pictures only"),
        (("-", "-o", "-", "--resume"), "--resume: only files"),
    ],
)
def test_bad_usage(tmp_path: Path, capfd: pytest.CaptureFixture[str], options: tuple[str, ...], expected: str) -> None:
    assert expected in expect_error(capfd, tmp_path, "upscale", *options)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="PIPES WITH FFMPEG UNTESTED: it is not installed")
def test_ffmpeg_on_both_sides(tmp_path: Path, uneven: Path) -> None:
    target = tmp_path / "out.mkv"
    command = (
        f"ffmpeg -v error -i {uneven} -c copy -f nut - "
        f"| {sys.executable} -m deepclarity upscale - -o - {' '.join(OPTIONS)} "
        f"| ffmpeg -v error -i - -c:v ffv1 -c:a copy -fps_mode passthrough -enc_time_base -1 {target}"
    )
    subprocess.run(["bash", "-o", "pipefail", "-c", command], check=True, timeout=60)
    before, after = frame_times(uneven), frame_times(target)
    start = after[0] - before[0]
    assert max(abs(b - a - start) for a, b in zip(before, after, strict=True)) <= Fraction(2, 1000)  # rounded twice
    assert audio_hashes(target) == audio_hashes(uneven)
