"""Other tracks: subtitles, chapters, attachments, cover pictures, and what a container does not support."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from av.stream import Disposition, Stream

from tests.clips import (
    ClipSpec,
    encode_clip,
    encode_clip_with_cover,
    encode_multitrack_clip,
)
from tests.commands import QUICK, run_upscale
from tests.decoding import assert_same_frames, audio_hashes, frame_times

Capture = pytest.CaptureFixture[str]


def tracks(path: Path) -> list[tuple[str, str | None]]:
    def reported(stream: Stream) -> tuple[str, str | None]:
        return stream.type, stream.language

    with av.open(str(path)) as container:
        return [reported(stream) for stream in container.streams]


def chapters(path: Path) -> list[tuple[float, str]]:
    with av.open(str(path)) as container:
        return [(float(c["start"] * c["time_base"]), c["metadata"].get("title", "")) for c in container.chapters()]


def subtitles(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


def test_matroska_keeps_every_track(tmp_path: Path, capfd: Capture) -> None:
    crowded, target = encode_multitrack_clip(tmp_path), tmp_path / "out.mkv"
    assert run_upscale(crowded, target, *QUICK) == 0
    assert "warning" not in capfd.readouterr().err
    assert sorted(map(str, tracks(target))) == sorted(map(str, tracks(crowded)))
    assert [audio_hashes(target, track) for track in (0, 1)] == [audio_hashes(crowded, track) for track in (0, 1)]
    assert subtitles(target) == subtitles(crowded) != []
    assert chapters(target) == chapters(crowded) == [(0.0, "One"), (0.2, "Two")]
    with av.open(str(target)) as container:
        assert container.metadata["title"] == "Multitrack"
        assert container.streams.attachments[0].data == b"not really a font" * 20
        assert container.streams.attachments[0].mimetype == "application/x-truetype-font"


def test_mp4_drops_unsupported_tracks_with_a_warning_each(tmp_path: Path, capfd: Capture) -> None:
    crowded, target = encode_multitrack_clip(tmp_path), tmp_path / "out.mp4"
    assert run_upscale(crowded, target, *QUICK) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "attachment" in warnings[0]
    kept = [track for track in tracks(target) if track[0] in ("video", "audio", "subtitle", "attachment")]
    assert [kind for kind, _ in kept] == ["video", "audio", "audio", "subtitle"]
    assert [language for kind, language in kept[1:]] == ["eng", "deu", "fra"]
    assert [audio_hashes(target, track) for track in (0, 1)] == [audio_hashes(crowded, track) for track in (0, 1)]
    assert chapters(target) == [(0.0, "One"), (0.2, "Two")]


def test_webm_drops_unsupported_tracks_and_keeps_the_video(tmp_path: Path, capfd: Capture) -> None:
    crowded, target = encode_multitrack_clip(tmp_path), tmp_path / "out.webm"
    assert run_upscale(crowded, target, *QUICK) == 0
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 4 - len(tracks(target)) + 1
    assert_same_frames(crowded, target)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_cover_picture_is_copied_not_repaired(tmp_path: Path, ending: str) -> None:
    clip, target = encode_clip_with_cover(tmp_path / "covered.mp4"), tmp_path / f"out.{ending}"
    assert run_upscale(clip, target, *QUICK) == 0
    assert_same_frames(clip, target)
    with av.open(str(target)) as container:
        covers = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
        assert [(cover.width, cover.height) for cover in covers] == [(640, 480)]


def test_upper_case_file_extension_is_accepted(tmp_path: Path) -> None:
    clip = encode_clip(tmp_path / "CLIP.MOV", ClipSpec(count=3))
    assert run_upscale(clip, tmp_path / "OUT.MP4", *QUICK) == 0
    assert frame_times(tmp_path / "OUT.MP4") == frame_times(clip)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CLIP.MOV", "OUT.MP4"]
