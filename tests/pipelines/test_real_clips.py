"""Real containers and codecs: every frame, timestamp and audio packet is kept. Needs the shared clips."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import pytest

from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.pipelines.detect_file import detect_file
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.source import FileSource

pytestmark = pytest.mark.shared

FALSE_POSITIVES = {
    "axm__sample.avi": "a sky in MPEG-4's own flat 16×16 blocks",
    "mediabunny__cursed-vfr.mp4": "a screen with pixelated thumbnails",
}
"""Clips on which the detector is known to err: some of their frames are called pixelated although they are not."""

SMALL = Preset(speed="ultrafast", size="426x240", device="cpu")
AT_SOURCE_SIZE = Preset(speed="ultrafast", size="auto", device="cpu")


def clips(folder: Path) -> list[Path]:
    kept = (".mp4", ".mkv", ".mov", ".264", ".y4m", ".webm", ".avi")
    return sorted(path for path in folder.rglob("*") if path.suffix in kept)


def decoded_times(path: Path) -> list[Fraction]:
    """Times of all frames as PyAV alone decodes them; a raw stream has none, so its nominal frame rate is used."""
    times = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for picture in container.decode(stream):
            assert stream.average_rate is not None
            nominal = len(times) / stream.average_rate
            times.append(nominal if picture.pts is None else picture.pts * stream.time_base)
    return times


def audio_digests(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        packets = container.demux(container.streams.audio[0])
        return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets if packet.size]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_timestamps_and_audio_are_kept(shared_clips: Path, tmp_path: Path, suffix: str) -> None:
    found = clips(shared_clips)
    assert len(found) >= 20
    tolerance = Fraction(1, 1000) if suffix == ".mkv" else 0
    for clip in found:
        out = tmp_path / f"{clip.stem}{suffix}"
        summary = upscale(Job(clip, out, SMALL))
        before, after = decoded_times(clip), decoded_times(out)
        assert len(before) == len(after) == summary.frames_out, clip.name
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= tolerance, clip.name
        assert audio_digests(out) == audio_digests(clip), clip.name
        assert (summary.damaged, summary.retimed) == (0, 0), clip.name
        assert "pixelated" not in summary.frames_by_kind or clip.name in FALSE_POSITIVES, clip.name
        out.unlink()


def test_hdr10_clip_keeps_bit_depth_and_colour_tags(shared_clips: Path, tmp_path: Path) -> None:
    clip, out = shared_clips / "zoo" / "axm__hdr10-av1.mp4", tmp_path / "out.mp4"
    upscale(Job(clip, out, SMALL))
    with FileSource(clip) as before, FileSource(out) as after:
        assert after.info.colour == before.info.colour
        assert after.info.colour.hdr
        assert after.info.pixel_format == "yuv420p10le"


def test_rotated_and_mirrored_clip_keeps_its_display_matrix(shared_clips: Path, tmp_path: Path) -> None:
    clip, out = shared_clips / "zoo" / "axm__sample_rotate_and_reflect.mp4", tmp_path / "out.mp4"
    upscale(Job(clip, out, SMALL))
    with FileSource(clip) as before, FileSource(out) as after:
        assert after.info.display_matrix == before.info.display_matrix is not None


def test_subtitles_are_copied_to_matroska_and_converted_for_mp4(
    shared_clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = shared_clips / "zoo" / "axm__sample_with_srt.mkv"
    for suffix, codec in ((".mkv", "srt"), (".mp4", "mov_text")):
        caplog.clear()
        upscale(Job(clip, tmp_path / f"out{suffix}", SMALL))
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            assert [stream.codec_context.name for stream in container.streams.subtitles] == [codec]
        assert not caplog.records


def test_clean_full_hd_clip_passes_unchanged(shared_clips: Path, tmp_path: Path) -> None:
    clip, out = shared_clips / "openh264__VID_1920x1080_cavlc_temporal_direct.264", tmp_path / "out.mkv"
    summary = upscale(Job(clip, out, AT_SOURCE_SIZE))
    assert (summary.passed, summary.resized, summary.repaired) == (54, 0, 0)


def with_pixelated_middle(clip: Path, path: Path, *, block_px: float) -> None:
    """Re-encode `clip` with frames 300 to 599 pixelated."""
    with av.open(str(clip)) as before, av.open(str(path), "w") as after:
        pictures = before.streams.video[0]
        stream = after.add_stream("libx264", rate=30, options={"crf": "23", "preset": "superfast"})
        stream.width, stream.height, stream.pix_fmt = pictures.width, pictures.height, "yuv420p"
        for number, picture in enumerate(before.decode(pictures)):
            planes = picture.reformat(format="yuv420p").to_ndarray()
            if 300 <= number < 600:
                luma = planes[: picture.height]
                luma[:] = pixelate(luma, block_px=block_px)
                for half in planes[picture.height :].reshape(2, picture.height // 2, -1):
                    half[:] = pixelate(half, block_px=block_px / 2)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            after.mux(stream.encode(frame))
        after.mux(stream.encode(None))


@pytest.mark.parametrize("block_px", [2, 4])
def test_pixelated_range_is_detected_within_three_frames(shared_clips: Path, tmp_path: Path, block_px: float) -> None:
    film = tmp_path / "film.mp4"
    with_pixelated_middle(shared_clips / "gradio__world.mp4", film, block_px=block_px)
    result = detect_file(film, load_detector(DEFAULT_DETECTOR))
    assert result.frames == 901
    assert len(result.ranges) == 1
    assert abs(result.ranges[0]["first_frame"] - 300) <= 3
    assert abs(result.ranges[0]["last_frame"] - 599) <= 3
