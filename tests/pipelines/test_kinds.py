"""Kinds of damage: what the quantiser says, what the picture bears out, and what is repaired."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.sidedata.encparams import VideoEncParams
from click.testing import CliRunner

from deepclarity.cli.app import cli
from deepclarity.errors import DeviceError, UsageError
from deepclarity.models.artifacts.reducer import ArtifactReducer, Planes
from deepclarity.models.detectors import load_detector
from deepclarity.models.verdict import Blocks, Kind, Verdict
from deepclarity.pipelines.detect import detect, refine, severity_of
from deepclarity.pipelines.detect_file import detect_file
from deepclarity.pipelines.enhance import enhance
from deepclarity.pipelines.fit import Fit
from deepclarity.pipelines.preset import preset_from
from deepclarity.pipelines.records import Lane, Summary
from deepclarity.pipelines.route import FrameSelection, Routing, parse_repair, route
from deepclarity.pipelines.upscale import Job, upscale
from deepclarity.stream.coding import Coding
from deepclarity.stream.files.coding import coding_from, coding_of
from deepclarity.stream.files.reading.side_data import side_data_of
from deepclarity.stream.files.source import FileSource
from deepclarity.stream.frame import Frame

SIZE = 640, 368
OF_51 = [("libx264", "mp4"), ("libx265", "mp4"), ("libx265", "ts")]
"""Encoders with quantisers up to 51."""


def textured(shift: int) -> np.ndarray:
    """A smooth picture with detail, (368, 640) uint8, moved by `shift` px."""
    noise = np.random.default_rng(3).normal(0, 1, (SIZE[1], SIZE[0] + 64)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, None, 6) * 600 + cv2.GaussianBlur(noise, None, 1.5) * 60
    return np.clip(soft[:, shift : shift + SIZE[0]] + 128, 16, 235).astype(np.uint8)


def coded(path: Path, codec: str, quantiser: int, *, frames: int = 12) -> Path:
    """A clip of constant quantiser."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        if codec == "libx264":
            stream.options = {"qp": str(quantiser), "preset": "medium"}
        elif codec == "libx265":
            stream.options = {"x265-params": f"log-level=none:qp={quantiser}", "preset": "ultrafast"}
        elif codec == "libsvtav1":
            stream.options = {"qp": str(quantiser), "preset": "12"}
        else:
            stream.bit_rate = 100_000_000 if quantiser < 5 else 50_000
            stream.codec_context.qmin = stream.codec_context.qmax = quantiser
        grey = np.full((SIZE[1] // 2, SIZE[0]), 128, np.uint8)
        for number in range(frames):
            picture = np.concatenate([textured(2 * number), grey])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="yuv420p")))
        out.mux(stream.encode(None))
    return path


def severities(path: Path) -> list[float]:
    with FileSource(path) as source:
        found = [severity_of(frame.coding) for frame in source]
    return [each for each in found if each is not None]


@pytest.mark.parametrize(("codec", "suffix"), [*OF_51, ("libsvtav1", "mp4"), ("mpeg2video", "ts"), ("mpeg4", "avi")])
def test_severity_rises_with_the_quantiser(tmp_path: Path, codec: str, suffix: str) -> None:
    fine, coarse = (20, 44) if (codec, suffix) in OF_51 else (20, 63) if codec == "libsvtav1" else (2, 31)
    low = severities(coded(tmp_path / f"fine.{suffix}", codec, fine))
    high = severities(coded(tmp_path / f"coarse.{suffix}", codec, coarse))
    assert len(low) == len(high) == 12  # no frame without one
    assert max(low) < 0.3
    assert min(high) > 0.5


def test_h264_quantiser_is_read_exactly(tmp_path: Path) -> None:
    with FileSource(coded(tmp_path / "clip.mp4", "libx264", 30)) as source:
        coding = [frame.coding for frame in source]
    assert all(each is not None and each.codec == "h264" for each in coding)
    maps = [each.qp_map for each in coding if each is not None and each.qp_map is not None]
    assert maps  # one read while it is decoded has none
    assert all(each.shape == (23, 40) for each in maps)
    assert 27 <= np.median([each.qp for each in coding if each is not None]) <= 33  # by frame type, around 30


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "mp4"), ("mpeg4", "avi")])
def test_quantisers_equal_those_that_the_library_reads(tmp_path: Path, codec: str, suffix: str) -> None:
    clip = coded(tmp_path / f"clip.{suffix}", codec, 24)
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"export_side_data": "venc_params"}
        for picture in container.decode(stream):
            found = coding_of(picture, "h264")  # H.264's scale is the exported one
            (exported,) = (data for data in side_data_of(picture) if isinstance(data, VideoEncParams))
            assert found is not None
            assert np.array_equal(found.qp_map, np.clip(exported.qp_map(), 0, 51))


def payload(quantisers: list[int], *, frame: int) -> bytes:
    """An `AVVideoEncParams` of 16x16 blocks in rows of four."""
    blocks = [(16 * (i % 4), 16 * (i // 4), 16, 16, qp - frame) for i, qp in enumerate(quantisers)]
    header = struct.pack("=I4xQQii", len(blocks), 32, 20, 1, frame)
    return header + b"".join(struct.pack("=5i", *block) for block in blocks)


def test_blocks_that_are_not_decoded_yet_do_not_count() -> None:
    complete = coding_from(payload([40] * 8, frame=45), "h264")
    assert complete is not None
    assert (complete.qp, complete.qp_map is None) == (40.0, False)
    partial = coding_from(payload([40] * 6 + [0] * 2, frame=45), "h264")
    assert partial is not None
    assert (partial.qp, partial.qp_map is None) == (40.0, True)
    unknown = payload([40] + [0] * 7, frame=45)
    assert coding_from(unknown, "h264", complete) is complete
    stated = coding_from(unknown, "h264")
    assert stated is not None
    assert stated.qp == 45
    assert coding_from(payload([0] * 8, frame=0), "mpeg4") is None
    lossless = coding_from(payload([0] * 8, frame=0), "h264")
    assert lossless is not None
    assert lossless.qp == 0


def test_codec_without_quantisers_has_none(tmp_path: Path) -> None:
    with FileSource(coded(tmp_path / "clip.mkv", "ffv1", 1)) as source:
        assert all(frame.coding is None for frame in source)


def luma_of(path: Path) -> np.ndarray:
    with FileSource(path) as source:
        return np.stack([frame.luma for frame in source]).astype(np.float32)


def test_coarsely_coded_clip_is_repaired_at_its_own_size(tmp_path: Path) -> None:
    clip, target = coded(tmp_path / "clip.mp4", "libx264", 44), tmp_path / "out.mp4"
    preset = preset_from({"model": "turbo", "size": f"{SIZE[0]}x{SIZE[1]}", "crf": 4}, where="")
    summary = upscale(Job(source=clip, output=target, preset=preset))
    assert (summary.repaired, summary.fallback) == (12, 0)
    clean = np.stack([textured(2 * number) for number in range(12)]).astype(np.float32)
    before, after = (((luma_of(path) - clean) ** 2).mean() for path in (clip, target))
    assert after < 0.99 * before
    left = upscale(Job(source=clip, output=target, preset=replace(preset, repair="pixelated"), overwrite=True))
    assert left.repaired == 0


def test_frames_whose_artifacts_cannot_be_reduced_go_on_and_are_counted(tmp_path: Path) -> None:
    class Failing(ArtifactReducer):
        def __call__(self, *_: object, **__: object) -> Planes:
            raise DeviceError("no memory")

    summary = Summary()
    with FileSource(coded(tmp_path / "clip.mp4", "libx264", 44, frames=5)) as source:
        scored = detect(source, load_detector("grid"), summary)
        routed = route(scored, Routing(), resize=True, enlarge=True, summary=summary)
        reducer = Failing("failing", None)  # type: ignore[arg-type]
        done = list(enhance(routed, None, Fit((320, 184), (320, 184), SIZE), summary, reducer=reducer))
    assert [item.frame.size for item in done] == [(320, 184)] * 5
    assert (summary.repaired, summary.resized, summary.fallback) == (0, 5, 5)


def test_coarsely_coded_clip_is_blocky_and_lanczos_has_no_repair_for_it(tmp_path: Path) -> None:
    clip = coded(tmp_path / "clip.mp4", "libx264", 44)
    verdict = detect_file(clip, load_detector("lattice-net"))
    assert (verdict.kind, verdict.pixelated) == (Kind.BLOCKY, False)
    assert verdict.frames_by_kind == {"blocky": 12}
    assert verdict.severity == 1.0
    summary = upscale(Job(source=clip, output=tmp_path / "out.mp4", preset=preset_from({"model": "lanczos"}, where="")))
    assert summary.repaired == 0
    assert summary.frames_by_kind == {"blocky": 12}


def test_finely_coded_clip_is_not_blocky(tmp_path: Path) -> None:
    verdict = detect_file(coded(tmp_path / "clip.mp4", "libx264", 28), load_detector("lattice-net"))
    assert "blocky" not in verdict.frames_by_kind


def in_blocks(size: int) -> np.ndarray:
    return textured(0)[::size, ::size].repeat(size, 0).repeat(size, 1)


def test_true_blocks_stay_pixelated_however_coarsely_coded() -> None:
    verdict, found = refine(
        Verdict(0.9, Kind.PIXELATED, Blocks(8, 8)), in_blocks(8), max_value=255, coding=Coding("h264", 44.0)
    )
    assert verdict.kind is Kind.PIXELATED
    assert found is not None
    assert found.support > 0.9


@pytest.mark.parametrize(("qp", "kind"), [(44.0, Kind.BLOCKY), (30.0, Kind.CLEAN)])
def test_codec_lattice_that_is_not_borne_out_is_not_pixelated(qp: float, kind: Kind) -> None:
    claimed = Verdict(0.9, Kind.PIXELATED, Blocks(8, 8))
    verdict, found = refine(claimed, textured(0), max_value=255, coding=Coding("h264", qp))
    assert verdict.kind is kind
    assert verdict.score < 0.4
    assert found is None


def test_regions_bound_the_blocks() -> None:
    luma = textured(0)
    luma[96:272, 160:480] = in_blocks(8)[96:272, 160:480]
    _, found = refine(Verdict(0.9, Kind.PIXELATED, Blocks(8, 8)), luma, max_value=255)
    assert found is not None
    region = found.regions()[0]
    assert abs(region.x - 160) <= 24
    assert abs(region.y - 96) <= 24
    assert abs(region.width - 320) <= 48
    assert abs(region.height - 176) <= 48


def frame(index: int, *, intact: bool = True) -> Frame:
    grey = np.full((SIZE[1] // 2, SIZE[0] // 2), 128, np.uint8)
    return Frame((in_blocks(4), grey, grey), index, index, Fraction(1, 25), intact=intact)


def test_damaged_frames_are_named_and_left() -> None:
    summary = Summary()
    frames = [frame(number, intact=number < 4) for number in range(8)]
    scored = detect(frames, load_detector("grid"), summary)
    lanes = [item.lane for item in route(scored, Routing(), resize=False, enlarge=False, summary=summary)]
    assert lanes == [Lane.ENHANCE] * 4 + [Lane.PASS] * 4
    assert summary.frames_by_kind == {"pixelated": 4, "damaged": 4}


def test_kinds_that_are_not_chosen_are_left() -> None:
    summary = Summary()
    routing = Routing(repair=parse_repair("blocky"))
    scored = detect([frame(number) for number in range(4)], load_detector("grid"), summary)
    routed = list(route(scored, routing, resize=False, enlarge=False, summary=summary))
    assert {item.lane for item in routed} == {Lane.PASS}
    assert {item.kind for item in routed} == {Kind.PIXELATED}


@pytest.mark.parametrize(("which", "switches"), [("pixelated", 1), ("all", 0)])
def test_lane_switches_count_only_changes_of_lane(which: str, switches: int) -> None:
    summary = Summary()
    clean = [replace(frame(number), planes=(textured(0), *frame(number).planes[1:])) for number in range(6)]
    frames = [*clean, *(frame(number) for number in range(6, 12))]
    scored = detect(frames, load_detector("grid"), summary)
    routing = Routing(which=FrameSelection(which))
    list(route(scored, routing, resize=False, enlarge=True, summary=summary))
    assert summary.lane_switches == switches


def test_repair_takes_names_of_kinds() -> None:
    assert parse_repair("blocky, pixelated") == {Kind.BLOCKY, Kind.PIXELATED}
    for text in ("", ",", "clean", "blocks"):
        with pytest.raises(UsageError, match="--repair"):
            parse_repair(text)
    with pytest.raises(UsageError, match="preset mine: repair"):
        preset_from({"repair": "pixelatd"}, where="mine")


def test_command_line_names_kinds_and_refuses_others(make_clip: Callable[..., Path], tmp_path: Path) -> None:
    clip = make_clip(count=8, pixelated=range(8))
    run = CliRunner().invoke
    done = run(cli, ["upscale", str(clip), "-o", str(tmp_path / "a.mp4"), "--model", "lanczos", "--repair", "blocky"])
    assert done.exit_code == 0, done.output
    assert "0 repaired" in done.output
    assert "8 pixelated" in done.output
    found = json.loads(run(cli, ["detect", "--json", str(clip)]).output)
    assert found["frames_by_kind"] == {"pixelated": 8}
    assert found["regions"][0]["width"] > 400
    assert 0 <= found["severity"] < 0.5
