"""Pictures and videos of every kind, and things that only look like them."""

from __future__ import annotations

import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deepclarity.web.inference import Inference
from deepclarity.web.messages import RefusedError
from deepclarity.web.model_cache import ModelCache, Tiled, tiers
from deepclarity.web.security.content_check import container_of, look_at_picture, look_at_video, open_picture
from deepclarity.web.security.limits import Limits
from deepclarity.web.storage.results import ResultStore, download_name
from tests.conftest import MakeClip, Rgb

LIMITS = Limits()


@pytest.fixture
def picture(painting: Rgb) -> Image.Image:
    return Image.fromarray(painting[100:280, 200:520])


@pytest.fixture
def inference(tmp_path: Path) -> Inference:
    return Inference(LIMITS, ResultStore(tmp_path, keep_s=60), ModelCache(device="cpu"))


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (1, 2**31 - 1), (10_000, 3_601)])
def test_a_bomb_is_refused_by_its_head(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(width, height, zlib.compress(bytes(1 << 20))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match="at most 36 megapixels"):
        open_picture(path, LIMITS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("again", [256, 257])
def test_a_tiff_that_gives_two_sizes_is_refused(tmp_path: Path, again: int) -> None:
    path = tmp_path / "two.tiff"
    Image.new("L", (64, 48)).save(path)
    content = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, at)[0]
    entries = [bytes(content[at + 2 + 12 * k : at + 14 + 12 * k]) for k in range(count)]
    entries.insert(
        [struct.unpack_from("<H", e)[0] for e in entries].index(again), struct.pack("<HHII", again, 4, 1, 60_000)
    )
    content[4:8] = struct.pack("<I", len(content))
    path.write_bytes(bytes(content) + struct.pack("<H", count + 1) + b"".join(entries) + bytes(4))
    with pytest.raises(RefusedError, match="contradict"):
        look_at_picture(path, LIMITS)


def test_a_photo_is_shown_upright(tmp_path: Path, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    seen, _ = open_picture(tmp_path / "turned.jpg", LIMITS)
    upright = np.rot90(np.asarray(picture)[..., ::-1], -1)
    assert seen.pixels.shape == upright.shape
    assert np.abs(seen.pixels.astype(int) - upright).mean() < 6


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("cmyk.jpg", "CMYK"), ("grey.jpg", "L"), ("palette.png", "P"), ("alpha.png", "RGBA"), ("grey.png", "L"),
        ("grey_alpha.png", "LA"), ("bits.png", "1"), ("colour.webp", "RGB"), ("alpha.webp", "RGBA"),
        ("colour.bmp", "RGB"), ("palette.bmp", "P"), ("colour.tiff", "RGB"), ("grey.tiff", "L"), ("palette.tiff", "P"),
        ("cmyk.tiff", "CMYK"),
    ],
)  # fmt: skip
def test_every_colour_model_is_read(tmp_path: Path, picture: Image.Image, name: str, mode: str) -> None:
    picture.convert(mode).save(tmp_path / name)
    seen, _ = open_picture(tmp_path / name, LIMITS)
    expected = np.asarray(picture.convert(mode).convert("RGB"))[..., ::-1].astype(int)
    assert np.abs(seen.pixels.astype(int) - expected).mean() < 12
    assert mode != "RGBA" or name == "alpha.webp" or seen.alpha is not None  # WebP drops an alpha that is opaque


def test_sixteen_bits_stay_sixteen(tmp_path: Path, picture: Image.Image, inference: Inference) -> None:
    deep = np.asarray(picture)[..., ::-1].astype(np.uint16) * 257
    path = inference.store.folder / "deep.png"
    cv2.imwrite(str(path), deep)
    made = inference.correct({"path": str(path)}, "lanczos", force=True)
    assert cv2.imread(str(made.after), cv2.IMREAD_UNCHANGED).dtype == np.uint16  # type: ignore[union-attr]


def test_of_an_animation_the_first_picture_is_used_and_told(tmp_path: Path, picture: Image.Image) -> None:
    dark = picture.point(lambda level: level // 4)
    for name in ("moving.webp", "moving.png"):
        picture.save(tmp_path / name, save_all=True, append_images=[dark] * 3, duration=100)
        seen, notes = open_picture(tmp_path / name, LIMITS)
        assert "first picture" in notes[0]
        assert seen.pixels.mean() == pytest.approx(np.asarray(picture).mean(), abs=5)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_what_is_cut_off_is_refused(tmp_path: Path, picture: Image.Image, ending: str, share: float) -> None:
    path = tmp_path / f"cut.{ending}"
    picture.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(RefusedError, match=r"This picture|not a picture"):
        open_picture(path, LIMITS)


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a" + bytes(50), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"SIMPLE  =                    T",
        b"%PDF-1.4", b"\x00\x00\x00\x18ftypheic", b"P6 9999999 9999999 255\n", b"", b"not a picture", b"8BPS",
        b"#?RADIANCE\n",
    ],
)  # fmt: skip
def test_other_formats_are_refused_by_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match="not a picture"):
        look_at_picture(path, LIMITS)


def test_damage_within_is_refused_or_read_never_a_crash(tmp_path: Path, picture: Image.Image) -> None:
    rng, told = np.random.default_rng(5), list[str]()
    for ending in ("jpg", "png", "webp", "bmp", "tiff"):
        path = tmp_path / f"damaged.{ending}"
        picture.save(path)
        content = np.fromfile(path, np.uint8)
        for _ in range(12):
            broken = content.copy()
            broken[rng.integers(0, len(broken), 20)] = rng.integers(0, 256, 20)
            broken.tofile(path)
            try:
                open_picture(path, LIMITS)
            except RefusedError as refused:
                told.append(str(refused))
    assert not [words for words in told if str(tmp_path) in words]


def test_one_pixel_has_a_verdict_but_no_evidence(inference: Inference) -> None:
    path = inference.store.folder / "one.png"
    path.write_bytes(png_of(1, 1, zlib.compress(b"\0\x80\x80\x80")))
    asked = {"path": str(path), "orig_name": "one.png"}
    assert not inference.detect(asked).verdict.pixelated
    assert inference.explain(asked) is None
    assert len(inference.compare(asked)) == 4
    assert inference.correct(asked, "turbo", force=True).repaired


def test_a_picture_in_pieces_is_the_picture_in_one(painting: Rgb) -> None:
    models = ModelCache(device="cpu")
    tiled = models.enhancer("turbo")
    assert isinstance(tiled, Tiled)
    luma = cv2.cvtColor(np.ascontiguousarray(painting), cv2.COLOR_RGB2GRAY)
    luma = np.ascontiguousarray(np.vstack([luma, luma[::-1]])[:900, :1100])
    whole, pieces = tiled._enhancer(luma, scale=2), tiled(luma, scale=2)
    assert pieces.shape == (1800, 2200)
    assert np.abs(whole.astype(int) - pieces).max() <= 12
    assert np.abs(whole.astype(int) - pieces).mean() < 0.1
    models.close()


def test_names_of_files_are_tamed() -> None:
    for told, tame in {
        "holiday.jpg": "holiday.png", "../../etc/passwd": "passwd.png", "a b<script>.png": "a_b_script.png",
        "": "picture.png", ".....": "picture.png", "Ärger 1.png": "Ärger_1.png", "x" * 300: "x" * 60 + ".png",
    }.items():  # fmt: skip
        assert download_name({"orig_name": told}, ".png") == tame
    assert download_name({"orig_name": 5}, ".png") == "picture.png"
    assert "srgan" in tiers()


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "ts", "mov", "flv", "webm"])
def test_videos_are_known_by_their_content(make_clip: MakeClip, tmp_path: Path, ending: str) -> None:
    import av

    clip = make_clip(count=8, size=(64, 48))
    path = tmp_path / f"other.{ending}"
    with av.open(str(clip)) as read, av.open(str(path), "w") as write:
        stream = read.streams.video[0]
        if ending in ("webm", "avi"):
            out = write.add_stream("libsvtav1" if ending == "webm" else "mpeg4", rate=25)
            out.width, out.height = 64, 48
            for frame in read.decode(stream):
                write.mux(out.encode(frame))
            write.mux(out.encode(None))
        else:
            copy = write.add_stream_from_template(stream)
            for packet in read.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    write.mux(packet)
    named = path.rename(tmp_path / "film.bin")
    demuxer, seen = look_at_video(named, LIMITS)
    assert (seen.width_px, seen.height_px) == (64, 48)
    assert container_of(named) == demuxer


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(video_s=0.1), "too long"),
        (Limits(video_frames=5), "too many frames"),
        (Limits(video_px=1000), "too large"),
    ],
)
def test_a_video_beyond_a_limit_is_refused(make_clip: MakeClip, limits: Limits, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        look_at_video(make_clip(count=10, size=(64, 48)), limits)
