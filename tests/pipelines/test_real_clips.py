"""Real containers and codecs: every frame, every timestamp, every sound packet. Needs the shared clips."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import pytest

from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.source import FileSource

pytestmark = pytest.mark.shared

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
        assert (summary.damaged, summary.retimed, summary.repaired) == (0, 0, 0), clip.name
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
