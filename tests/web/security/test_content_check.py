"""Content checks of uploads: every supported format, and files that only pretend to have one."""

from __future__ import annotations

import resource
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from deepclarity.web.errors import RefusedError
from deepclarity.web.inference import Inference
from deepclarity.web.limits import Limits
from deepclarity.web.model_cache import ModelCache, TiledEnhancer, available_tiers
from deepclarity.web.security.content_check import check_picture, check_video, detect_demuxer, open_picture
from deepclarity.web.storage.results import ResultStore, download_name
from tests.conftest import MakeClip, Rgb

LIMITS = Limits()


@pytest.fixture
def picture(painting: Rgb) -> Image.Image:
    return Image.fromarray(painting[100:280, 200:520])


@pytest.fixture
def inference(tmp_path: Path) -> Inference:
    return Inference(LIMITS, ResultStore(tmp_path, retention_s=60), ModelCache(device="cpu"))


def png_of(width: int, height: int, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (1, 2**31 - 1), (10_000, 3_601)])
def test_decompression_bomb_is_refused_before_decoding(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(width, height, zlib.compress(bytes(1 << 20))))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError, match="at most 36 megapixels"):
        open_picture(path, LIMITS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize("duplicate_tag", [256, 257])
def test_tiff_with_duplicate_size_tags_is_refused(tmp_path: Path, duplicate_tag: int) -> None:
    path = tmp_path / "two.tiff"
    Image.new("L", (64, 48)).save(path)
    content = bytearray(path.read_bytes())
    at = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, at)[0]
    entries = [bytes(content[at + 2 + 12 * k : at + 14 + 12 * k]) for k in range(count)]
    entries.insert(
        [struct.unpack_from("<H", e)[0] for e in entries].index(duplicate_tag),
        struct.pack("<HHII", duplicate_tag, 4, 1, 60_000),
    )
    content[4:8] = struct.pack("<I", len(content))
    path.write_bytes(bytes(content) + struct.pack("<H", count + 1) + b"".join(entries) + bytes(4))
    with pytest.raises(RefusedError, match="contradict"):
        check_picture(path, LIMITS)


def test_exif_orientation_is_applied(tmp_path: Path, picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    decoded, _ = open_picture(tmp_path / "turned.jpg", LIMITS)
    upright = np.rot90(np.asarray(picture)[..., ::-1], -1)
    assert decoded.pixels.shape == upright.shape
    assert np.abs(decoded.pixels.astype(int) - upright).mean() < 6


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("cmyk.jpg", "CMYK"), ("grey.jpg", "L"), ("palette.png", "P"), ("alpha.png", "RGBA"), ("grey.png", "L"),
        ("grey_alpha.png", "LA"), ("bits.png", "1"), ("colour.webp", "RGB"), ("alpha.webp", "RGBA"),
        ("colour.bmp", "RGB"), ("palette.bmp", "P"), ("colour.tiff", "RGB"), ("grey.tiff", "L"), ("palette.tiff", "P"),
        ("cmyk.tiff", "CMYK"),
    ],
)  # fmt: skip
def test_all_colour_models_are_decoded(tmp_path: Path, picture: Image.Image, name: str, mode: str) -> None:
    picture.convert(mode).save(tmp_path / name)
    decoded, _ = open_picture(tmp_path / name, LIMITS)
    expected = np.asarray(picture.convert(mode).convert("RGB"))[..., ::-1].astype(int)
    assert np.abs(decoded.pixels.astype(int) - expected).mean() < 12
    assert mode != "RGBA" or name == "alpha.webp" or decoded.alpha is not None  # WebP drops an alpha that is opaque


def test_16_bit_picture_stays_16_bit(tmp_path: Path, picture: Image.Image, inference: Inference) -> None:
    deep = np.asarray(picture)[..., ::-1].astype(np.uint16) * 257
    path = inference.store.folder / "deep.png"
    cv2.imwrite(str(path), deep)
    correction = inference.correct({"path": str(path)}, "lanczos", force=True)
    assert cv2.imread(str(correction.after), cv2.IMREAD_UNCHANGED).dtype == np.uint16  # type: ignore[union-attr]


def test_first_frame_of_an_animation_is_used_with_a_note(tmp_path: Path, picture: Image.Image) -> None:
    dark = picture.point(lambda level: level // 4)
    for name in ("moving.webp", "moving.png"):
        picture.save(tmp_path / name, save_all=True, append_images=[dark] * 3, duration=100)
        decoded, notes = open_picture(tmp_path / name, LIMITS)
        assert "first frame" in notes[0]
        assert decoded.pixels.mean() == pytest.approx(np.asarray(picture).mean(), abs=5)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_truncated_picture_is_refused(tmp_path: Path, picture: Image.Image, ending: str, share: float) -> None:
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
def test_unsupported_formats_are_refused_by_content(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match="not a picture"):
        check_picture(path, LIMITS)


def test_damaged_picture_is_decoded_or_refused_without_a_path(tmp_path: Path, picture: Image.Image) -> None:
    rng, messages = np.random.default_rng(5), list[str]()
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
                messages.append(str(refused))
    assert not [text for text in messages if str(tmp_path) in text]


def test_one_pixel_picture_has_a_verdict_but_no_evidence(inference: Inference) -> None:
    path = inference.store.folder / "one.png"
    path.write_bytes(png_of(1, 1, zlib.compress(b"\0\x80\x80\x80")))
    payload = {"path": str(path), "orig_name": "one.png"}
    assert not inference.detect(payload).verdict.pixelated
    assert inference.explain(payload) is None
    assert len(inference.compare(payload)) == 4
    assert inference.correct(payload, "turbo", force=True).repaired


def test_tiled_enlargement_matches_untiled(painting: Rgb) -> None:
    models = ModelCache(device="cpu")
    tiled = models.enhancer("turbo")
    assert isinstance(tiled, TiledEnhancer)
    luma = cv2.cvtColor(np.ascontiguousarray(painting), cv2.COLOR_RGB2GRAY)
    luma = np.ascontiguousarray(np.vstack([luma, luma[::-1]])[:900, :1100])
    expected, actual = tiled._enhancer(luma, scale=2), tiled(luma, scale=2)
    assert actual.shape == (1800, 2200)
    assert np.abs(expected.astype(int) - actual).max() <= 12
    assert np.abs(expected.astype(int) - actual).mean() < 0.1
    models.close()


def test_download_names_are_sanitized() -> None:
    for name, sanitized in {
        "holiday.jpg": "holiday.png", "../../etc/passwd": "passwd.png", "a b<script>.png": "a_b_script.png",
        "": "picture.png", ".....": "picture.png", "Ärger 1.png": "Ärger_1.png", "x" * 300: "x" * 60 + ".png",
    }.items():  # fmt: skip
        assert download_name({"orig_name": name}, ".png") == sanitized
    assert download_name({"orig_name": 5}, ".png") == "picture.png"
    assert "srgan" in available_tiers()


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "ts", "mov", "flv", "webm"])
def test_video_container_is_detected_by_content(make_clip: MakeClip, tmp_path: Path, ending: str) -> None:
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
    renamed = path.rename(tmp_path / "film.bin")
    demuxer, probed = check_video(renamed, LIMITS)
    assert (probed.width_px, probed.height_px) == (64, 48)
    assert detect_demuxer(renamed) == demuxer


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(video_s=0.1), "too long"),
        (Limits(video_frames=5), "too many frames"),
        (Limits(video_px=1000), "too large"),
    ],
)
def test_video_over_limit_is_refused(make_clip: MakeClip, limits: Limits, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        check_video(make_clip(count=10, size=(64, 48)), limits)
