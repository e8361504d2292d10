"""Opacity of videos: kept where the output can hold it, at the size of the colours, else named as lost."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from deepclarity.errors import UsageError
from deepclarity.pipelines.preset import Preset
from deepclarity.pipelines.route import FrameSelection
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.files.encode import EncodeSettings
from deepclarity.stream.files.output_path import container_of
from deepclarity.stream.files.reading.decoder import decoder_of
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.transparency import alpha_of
from tests.commands import run_upscale

SIZE = 128, 96
FRAMES = 6
SOURCES = {
    "prores.mov": ("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}),
    "vp9.webm": ("libvpx-vp9", "yuva420p", {"auto-alt-ref": "0", "crf": "10", "b": "0", "deadline": "realtime"}),
    "rle.mov": ("qtrle", "argb", {}),
}


def opacity(number: int) -> np.ndarray:
    """A ramp that moves, (96, 128) 0..255."""
    ramp = np.linspace(0, 255, SIZE[0]) + 6 * number
    return np.tile(np.clip(ramp, 0, 255), (SIZE[1], 1)).astype(np.uint8)


def clip(path: Path, name: str) -> Path:
    """A transparent clip."""
    encoder, pixel_format, options = SOURCES[name]
    with av.open(str(path / name), "w") as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, pixel_format
        for number in range(FRAMES):
            rgba = np.full((SIZE[1], SIZE[0], 4), 120, np.uint8)
            rgba[20:60, 30:90, 0] = 220
            rgba[..., 3] = opacity(number)
            picture = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixel_format)
            picture.pts = None
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path / name


def opacities(path: Path) -> list[np.ndarray]:
    """The opacity of every frame, (height, width) 0..255."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = decoder_of(stream)
        pictures = [picture for packet in container.demux(stream) for picture in decoder.decode(packet)]
    found = [alpha_of(picture, deep=False) for picture in pictures]
    assert all(each is not None for each in found)
    return [each for each in found if each is not None]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("output", ["out.mov", "out.webm", "out.mkv"])
def test_opacity_is_kept_at_the_size_of_the_colours(tmp_path: Path, source: str, output: str) -> None:
    preset = Preset(which=FrameSelection.NONE, size="256x192", device="cpu", speed="ultrafast")
    summary = upscale(Job(clip(tmp_path, source), tmp_path / output, preset))
    assert "transparency" not in summary.lost
    found = opacities(tmp_path / output)
    assert len(found) == summary.frames_in == FRAMES
    for number, alpha in enumerate(found):
        assert alpha.shape == (192, 256)
        small = alpha.reshape(96, 2, 128, 2).mean((1, 3))
        assert np.abs(small - opacity(number))[:, 2:-2].mean() < 3


def test_transparent_videos_are_not_deinterlaced(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = clip(tmp_path, "prores.mov")
    assert run_upscale(source, tmp_path / "out.mov", "--none", "--deinterlace", "field") == 2
    assert "a transparent video is not deinterlaced" in capfd.readouterr().err
    assert not (tmp_path / "out.mov").exists()


def test_repaired_frames_keep_it_too(tmp_path: Path) -> None:
    preset = Preset(which=FrameSelection.ALL, model="lanczos", size="256x192", device="cpu", speed="ultrafast")
    upscale(Job(clip(tmp_path, "prores.mov"), tmp_path / "out.mov", preset))
    with FileSource(tmp_path / "out.mov") as source:
        assert source.info.transparent
    assert np.abs(opacities(tmp_path / "out.mov")[3].astype(float).mean() - opacity(3).mean()) < 2


def test_what_cannot_hold_it_names_it_as_lost(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = clip(tmp_path, "vp9.webm")
    preset = Preset(which=FrameSelection.NONE, size="auto", device="cpu", speed="ultrafast")
    assert "transparency" in upscale(Job(source, tmp_path / "out.mp4", preset)).lost
    assert run_upscale(source, tmp_path / "h264.mkv", "--codec", "h264", "--none") == 0
    printed = capfd.readouterr()
    assert "left out: transparency" in printed.err
    assert "  left out  transparency\n" in printed.out + printed.err


def test_opaque_videos_can_be_written_with_the_same_encoders(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((144, 128), 128, np.uint8), format="yuv420p")))
        container.mux(stream.encode(None))
    for codec, name in (("prores", "a.mov"), ("vp9", "a.webm")):
        preset = Preset(codec=codec, size="auto", device="cpu", speed="ultrafast", which=FrameSelection.NONE)
        upscale(Job(tmp_path / "in.mp4", tmp_path / name, preset))
        with FileSource(tmp_path / name) as source:
            assert not source.info.transparent
            assert len(list(source)) == 1


def test_containers_and_settings_that_do_not_fit_are_refused() -> None:
    for name, codec in (("a.mp4", "prores"), ("a.mov", "vp9"), ("a.webm", "prores")):
        with pytest.raises(UsageError, match="does not support"):
            container_of(Path(name), codec)
    with pytest.raises(UsageError, match="ProRes has no quality setting"):
        EncodeSettings("prores", crf=20)
