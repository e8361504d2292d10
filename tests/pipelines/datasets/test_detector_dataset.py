"""Labelled pictures: the same each time, of photos that do not mix, and labelled with what they show."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepclarity.errors import SourceError
from deepclarity.models.detectors.grid import Grid
from deepclarity.models.verdict import Blocks, Kind
from deepclarity.pipelines.datasets.augment import CODECS, Augmented, Plan
from deepclarity.pipelines.datasets.detector_dataset import DetectorDataset, Protocol, Sample
from deepclarity.pipelines.datasets.negatives import blocky, combed, negatives
from deepclarity.pipelines.datasets.photos import SourceImages, Split, find_source_images, part_of
from deepclarity.pipelines.datasets.positives import (
    FACTOR_CLASSES,
    FACTORS,
    draw_factor,
    mosaic,
    partly_pixelated,
    pixelated,
)
from deepclarity.stream.files.still import Picture, write_picture
from tests.conftest import MakeClip, Rgb

HERE = 320, 180


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, painting: Rgb) -> Path:
    """A folder of nine pieces of the harbour."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(9):
        left, top = 90 * number, 20 * number
        piece = np.ascontiguousarray(painting[top : top + 312, left : left + 504, ::-1])
        write_picture(folder / f"photo_{number}.png", Picture(piece))
    return folder


@pytest.fixture
def source_images(photos: Path) -> SourceImages:
    return find_source_images(photos, Split.TRAIN)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures that are made quickly."""
    monkeypatch.setattr(
        "deepclarity.pipelines.datasets.detector_dataset.SIZES", {(160, 90): 1, (161, 121): 1, (120, 200): 1}
    )


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def edges(luma: np.ndarray) -> set[int]:
    """Columns before which luma changes anywhere."""
    return {int(x) for x in np.flatnonzero((luma[:, 1:] != luma[:, :-1]).any(axis=0)) + 1}


def lattice(length: int, size: float, phase: float) -> set[int]:
    """Columns before which blocks begin."""
    return {int(np.ceil(phase + k * size - 0.5)) for k in range(-1, int(length / size) + 1)}


def where(sample: Sample) -> tuple[slice, slice]:
    left, top, width, height = sample.region or (0, 0, *sample.planes[0].shape[::-1])
    return slice(top, top + height), slice(left, left + width)


@pytest.mark.usefixtures("small")
def test_samples_are_determined_by_seed_and_index(photos: Path) -> None:
    one, again = (
        DetectorDataset(find_source_images(photos, Split.TRAIN), protocol=Protocol.VIDEO, seed=3) for _ in range(2)
    )
    other = DetectorDataset(find_source_images(photos, Split.TRAIN), protocol=Protocol.VIDEO, seed=4)
    for index in (0, 5, 18, 18):
        first, second = one.at(index), again.at(index)
        assert (first.kind, first.blocks, first.region, first.cell) == (
            second.kind, second.blocks, second.region, second.cell,
        )  # fmt: skip
        for plane, same in zip(first.planes, second.planes, strict=True):
            np.testing.assert_array_equal(plane, same)
    assert any(not np.array_equal(one.at(i).planes[0], other.at(i).planes[0]) for i in (0, 5, 18))


@pytest.mark.parametrize("count", [3, 7, 20, 45])
def test_splits_are_disjoint_and_complete(count: int) -> None:
    files = [Path(f"{number:03}.webp") for number in reversed(range(count))]
    parts = [part_of(files, split) for split in Split]
    assert all(parts)
    assert sorted(file for part in parts for file in part) == sorted(files)


def test_photos_of_other_splits_are_not_read(photos: Path, tmp_path: Path) -> None:
    allowed = find_source_images(photos, Split.TEST).photos
    for photo in photos.iterdir():
        (tmp_path / photo.name).write_bytes(photo.read_bytes() if photo in allowed else b"unreadable")
    source_images = find_source_images(tmp_path, Split.TEST)
    assert all(source_images.canvas(rng(seed), *HERE)[0].shape == HERE[::-1] for seed in range(20))
    with pytest.raises(SourceError, match="not a picture"):
        find_source_images(tmp_path, Split.TRAIN).canvas(rng(), *HERE)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("seed", range(4))
def test_blocks_start_at_the_labelled_phase(source_images: SourceImages, factor: float, seed: int) -> None:
    take = pixelated(source_images, Plan(HERE), factor, rng(seed))
    luma, blue, _ = take.frames[0]
    assert (luma.shape, blue.shape) == ((180, 320), (90, 160))
    assert take.kind is Kind.PIXELATED
    assert take.blocks is not None
    seen, said = edges(luma), lattice(320, take.blocks.width_px, take.blocks.phase_x_px)
    assert seen <= said
    assert len(seen) > 0.9 * 320 / factor - 2
    assert edges(luma.T) <= lattice(180, take.blocks.height_px, take.blocks.phase_y_px)


def test_factors_near_a_codecs_blocks_differ_from_them() -> None:
    drawn = [draw_factor("near codec", rng(seed)) for seed in range(200)]
    off = [min((abs(factor / block - 1), block) for block in (4, 8, 16)) for factor in drawn]
    assert {block for _, block in off} == {4, 8, 16}
    assert all(0.003 < share < 0.031 for share, _ in off)
    assert all(1.5 <= draw_factor("any", rng(seed)) <= 24 for seed in range(50))
    assert draw_factor("2.5", rng()) == 2.5


@pytest.mark.parametrize("seed", range(4))
def test_partial_blocks_cover_a_large_part_and_the_rest_is_sharp(source_images: SourceImages, seed: int) -> None:
    take = partly_pixelated(source_images, Plan(HERE), 4, rng(seed))
    assert take.blocks is not None
    assert take.region is not None
    left, top, width, height = take.region
    assert width * height > 0.4 * 320 * 180
    luma = take.frames[0][0]
    within = {x + left for x in edges(luma[top : top + height, left : left + width])}
    assert within <= lattice(320, 4, take.blocks.phase_x_px)
    assert len(edges(luma)) > len(within)


@pytest.mark.parametrize("seed", range(4))
def test_mosaic_is_small_and_starts_at_its_corner(source_images: SourceImages, seed: int) -> None:
    take = mosaic(source_images, Plan(HERE), rng(seed))
    assert take.kind is Kind.MOSAIC
    assert take.blocks is not None
    assert take.region is not None
    left, top, width, height = take.region
    assert width * height < 0.13 * 320 * 180
    assert (take.blocks.phase_x_px - left) % take.blocks.width_px == 0
    flat = take.frames[0][0][top : top + int(take.blocks.height_px), left : left + int(take.blocks.width_px)]
    assert flat.min() == flat.max()


@pytest.mark.usefixtures("small")
def test_dataset_covers_every_factor_codec_and_class(source_images: SourceImages) -> None:
    seen = list(DetectorDataset(source_images, protocol=Protocol.VIDEO).first(120))
    assert sum(sample.pixelated for sample in seen) == 60
    pairs = {(s.cell["factor"], s.cell["codec"]) for s in seen if s.pixelated}
    assert pairs == {(name, codec) for name in FACTOR_CLASSES for codec in CODECS}
    kinds = Counter((s.cell["class"], s.kind.value) for s in seen if not s.pixelated)
    named = {
        "natural", "defocus", "fade", "flat", "combed", "text", "grid", "pixel art", ("soft", "soft"),
        ("blocky", "blocky"), ("mosaic", "mosaic"),
    }  # fmt: skip
    assert set(kinds) == {name if isinstance(name, tuple) else (name, "clean") for name in named}
    for sample in seen:
        height, width = sample.planes[0].shape
        assert sample.cell["size"] == f"{width}x{height}"
        assert sample.planes[1].shape == sample.planes[2].shape == (-(-height // 2), -(-width // 2))


@pytest.mark.usefixtures("small")
def test_letterbox_bars_are_black_and_outside_the_region(source_images: SourceImages) -> None:
    made = DetectorDataset(source_images, protocol=Protocol.VIDEO, seed=2)
    barred = [
        sample
        for sample in map(made.at, range(0, 400, 2))
        if sample.region and sample.cell["codec"] == "none" and sample.cell["extras"].endswith("letterbox")
    ]
    assert barred
    for sample in barred:
        luma, inside = sample.planes[0], np.zeros(sample.planes[0].shape, bool)
        inside[where(sample)] = True
        assert (luma[~inside] == 16).all()
        assert (luma[inside] > 16).any()


def test_published_protocol_is_full_hd_and_half_in_clean_blocks(source_images: SourceImages) -> None:
    pictures = list(DetectorDataset(source_images, protocol=Protocol.PUBLISHED).first(4))
    assert [p.kind for p in pictures] == [Kind.PIXELATED, Kind.CLEAN, Kind.PIXELATED, Kind.CLEAN]
    assert all(p.planes[0].shape == (1080, 1920) for p in pictures)
    for picture, factor in ((pictures[0], 1.5), (pictures[2], 2.0)):
        assert picture.blocks == Blocks(factor, factor)
        assert edges(picture.planes[0]) <= lattice(1920, factor, 0)
    assert Grid()(pictures[2].planes[0]).blocks == Blocks(2, 2)


def test_pixel_art_counts_as_pixelated_by_option(source_images: SourceImages) -> None:
    for counts, kind in ((False, Kind.CLEAN), (True, Kind.PIXELATED)):
        takes = [make(source_images, Plan(HERE), rng()) for make in negatives(pixel_art_counts=counts)]
        (art,) = (take for take in takes if take.cell["class"] == "pixel art")
        assert art.kind is kind
        assert art.blocks is not None
        assert edges(art.frames[0][0]) <= lattice(320, art.blocks.width_px, 0)


def test_interlaced_samples_alternate_rows_of_two_moments(source_images: SourceImages) -> None:
    luma = combed(source_images, Plan(HERE), rng()).frames[0][0].astype(float)
    assert np.abs(luma[1:] - luma[:-1]).mean() > 1.2 * np.abs(luma[2:] - luma[:-2]).mean()


def test_clip_frames_are_used_and_truncated_clips_skipped(
    photos: Path, make_clip: MakeClip, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("deepclarity"), "propagate", True)
    good = make_clip("good.mp4", count=30, size=(160, 96))
    still = SourceImages(list(photos.iterdir()), [good], Split.TRAIN).still(rng())
    assert still is not None
    assert still[0].shape == (96, 160)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(b"\0" * 500)
    assert SourceImages(list(photos.iterdir()), [torn], Split.TRAIN).still(rng()) is None
    assert "torn.mp4" in caplog.text


def test_too_few_photos_raise_source_error(tmp_path: Path, painting: Rgb) -> None:
    write_picture(tmp_path / "one.png", Picture(painting))
    with pytest.raises(SourceError, match="1 photos; at least 3"):
        find_source_images(tmp_path, Split.TEST)
    with pytest.raises(SourceError, match="no such folder"):
        find_source_images(tmp_path / "nowhere", Split.TEST)


def drawn_by(make: Callable[[int], Augmented], wanted: Callable[[Augmented], bool]) -> Augmented:
    """The first of forty that is of the wanted sort."""
    return next(take for take in map(make, range(40)) if wanted(take))


@pytest.mark.parametrize("extra", ["drawn", "dark surround"])
def test_drawings_and_dark_pictures_are_enlarged_like_photos(source_images: SourceImages, extra: str) -> None:
    take = drawn_by(
        lambda seed: pixelated(source_images, Plan((320, 180)), 4, rng(seed)),
        lambda take: extra in take.extras and "stretched" not in take.extras,
    )
    blocks = take.blocks
    assert blocks is not None
    assert (take.kind, len(edges(take.frames[0][0])) > 5) == (Kind.PIXELATED, True)
    assert edges(take.frames[0][0]) <= lattice(320, 4, blocks.phase_x_px)


def test_pixelated_thumbnails_cover_a_small_part_of_a_screen(source_images: SourceImages) -> None:
    take = drawn_by(
        lambda seed: mosaic(source_images, Plan((640, 360)), rng(seed)),
        lambda take: take.cell.get("drawn") == "thumbnails",
    )
    assert take.kind is Kind.MOSAIC
    assert Grid()(take.frames[0][0]).kind is not Kind.PIXELATED


def test_coarse_mpeg_leaves_steps_at_its_macroblocks(source_images: SourceImages) -> None:
    takes = [blocky(source_images, Plan((320, 180)), rng(seed)) for seed in range(20)]
    coded = [take for take in takes if take.cell["grid"].startswith("mpeg")]
    steps = [np.abs(np.diff(take.frames[0][0].astype(int), axis=1)).mean(axis=0) for take in coded]
    assert {take.kind for take in coded} == {Kind.BLOCKY}
    assert np.mean([each[7::8].mean() / each[3::8].mean() for each in steps]) > 1.3
