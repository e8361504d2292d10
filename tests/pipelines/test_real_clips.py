"""Real containers and codecs: every frame, every timestamp, every sound packet. Needs the shared clips."""

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

TAKEN_FOR_BLOCKS = {
    "axm__sample.avi": "a sky in MPEG-4's own flat 16×16 blocks",
    "mediabunny__cursed-vfr.mp4": "a screen with thumbnails that are in blocks",
}
"""Where the detector is known to err: frames of these are repaired though they should not be."""

SMALL = Preset(speed="ultrafast", size="426x240", device="cpu")
AT_SOURCE_SIZE = Preset(speed="ultrafast", size="auto", device="cpu")


def clips(folder: Path) -> list[Path]:
    kept = (".mp4", ".mkv", ".mov", ".264", ".y4m", ".webm", ".avi")
    return sorted(path for path in folder.rglob("*") if path.suffix in kept)


def decodable(path: Path) -> list[Fraction]:
    """Times of all pictures as PyAV alone decodes them; a raw stream has none, and shows at its nominal rate."""
    found = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for picture in container.decode(stream):
            assert stream.average_rate is not None
            nominal = len(found) / stream.average_rate
            found.append(nominal if picture.pts is None else picture.pts * stream.time_base)
    return found


def sound(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return []
        packets = container.demux(container.streams.audio[0])
        return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets if packet.size]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_every_clip_keeps_its_frames_times_and_sound(shared_clips: Path, tmp_path: Path, ending: str) -> None:
    found = clips(shared_clips)
    assert len(found) >= 20
    tolerance = Fraction(1, 1000) if ending == ".mkv" else 0
    for clip in found:
        out = tmp_path / f"{clip.stem}{ending}"
        summary = upscale(Job(clip, out, SMALL))
        before, after = decodable(clip), decodable(out)
        assert len(before) == len(after) == summary.frames_out, clip.name
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= tolerance, clip.name
        assert sound(out) == sound(clip), clip.name
        assert (summary.damaged, summary.retimed) == (0, 0), clip.name
        assert summary.repaired == 0 or clip.name in TAKEN_FOR_BLOCKS, clip.name
        out.unlink()


def test_an_hdr10_clip_stays_ten_bit_and_tagged(shared_clips: Path, tmp_path: Path) -> None:
    clip, out = shared_clips / "zoo" / "axm__hdr10-av1.mp4", tmp_path / "out.mp4"
    upscale(Job(clip, out, SMALL))
    with FileSource(clip) as before, FileSource(out) as after:
        assert after.info.colour == before.info.colour
        assert after.info.colour.hdr
        assert after.info.pixel_format == "yuv420p10le"


def test_a_turned_and_mirrored_clip_keeps_its_matrix(shared_clips: Path, tmp_path: Path) -> None:
    clip, out = shared_clips / "zoo" / "axm__sample_rotate_and_reflect.mp4", tmp_path / "out.mp4"
    upscale(Job(clip, out, SMALL))
    with FileSource(clip) as before, FileSource(out) as after:
        assert after.info.display_matrix == before.info.display_matrix is not None


def test_subtitles_are_copied_to_matroska_and_missed_with_a_word_in_mp4(
    shared_clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clip = shared_clips / "zoo" / "axm__sample_with_srt.mkv"
    for ending, kept in ((".mkv", True), (".mp4", False)):
        caplog.clear()
        upscale(Job(clip, tmp_path / f"out{ending}", SMALL))
        with av.open(str(tmp_path / f"out{ending}")) as container:
            assert bool(container.streams.subtitles) is kept
        assert [record.levelname for record in caplog.records] == ([] if kept else ["WARNING"])


def test_clean_full_hd_never_meets_the_network(shared_clips: Path, tmp_path: Path) -> None:
    clip, out = shared_clips / "openh264__VID_1920x1080_cavlc_temporal_direct.264", tmp_path / "out.mkv"
    summary = upscale(Job(clip, out, AT_SOURCE_SIZE))
    assert (summary.passed, summary.resized, summary.repaired) == (54, 0, 0)


def with_pixelated_middle(clip: Path, path: Path, *, block_px: float) -> None:
    """`clip`, of which the frames 300 to 599 are drawn in blocks, coded once more."""
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
def test_a_pixelated_middle_is_found_to_the_frame_and_once(shared_clips: Path, tmp_path: Path, block_px: float) -> None:
    film = tmp_path / "film.mp4"
    with_pixelated_middle(shared_clips / "gradio__world.mp4", film, block_px=block_px)
    found = detect_file(film, load_detector(DEFAULT_DETECTOR))
    assert found.frames == 901
    assert len(found.ranges) == 1
    assert abs(found.ranges[0]["first_frame"] - 300) <= 3
    assert abs(found.ranges[0]["last_frame"] - 599) <= 3
