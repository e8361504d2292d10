"""The live view: only repaired frames are returned, and invalid messages are refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.web.errors import RefusedError
from deepclarity.web.limits import Limits
from deepclarity.web.live_socket import LiveSession, decode_message
from tests.conftest import Rgb
from tests.web.conftest import Server


@pytest.fixture
def session() -> Iterator[LiveSession]:
    session = LiveSession(Limits(), device="cpu")
    yield session
    session.close()


@pytest.fixture
def scene(painting: Rgb) -> Rgb:
    return np.ascontiguousarray(painting[100:460, 400:1040])


def encode_message(rgb: Rgb, form: str) -> bytes:
    """A picture as the browser sends it."""
    height, width = rgb.shape[:2]
    header = json.dumps({"form": form, "width": width, "height": height}).encode() + b"\n"
    if form == "JPEG":
        return header + cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    planar = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    if form == "NV12":
        luma, chroma = planar[:height], planar[height:].reshape(2, -1)
        return header + luma.tobytes() + np.ascontiguousarray(chroma.T).tobytes()
    return header + planar.tobytes()


def decode_answer(answer: bytes) -> tuple[dict[str, object], bytes]:
    header, _, picture = answer.partition(b"\n")
    return json.loads(header), picture


def luma(rgb: Rgb) -> NDArray[np.float64]:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)[: rgb.shape[0]].astype(float)


@pytest.mark.parametrize("form", ["I420", "NV12", "JPEG"])
def test_pixelated_frames_are_returned_repaired(session: LiveSession, scene: Rgb, form: str) -> None:
    pixelated = pixelate(scene, block_px=4)
    header, picture = decode_answer(session.process(encode_message(pixelated, form)))
    assert (header["repaired"], header["kind"], header["block_px"]) == (True, "pixelated", 4.0)
    if form == "JPEG":
        repaired = luma(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy())  # type: ignore[arg-type,index]
    else:
        assert len(picture) == 640 * 360 * 3 // 2
        repaired = np.frombuffer(picture, np.uint8)[: 640 * 360].reshape(360, 640).astype(float)
    assert np.abs(repaired - luma(scene)).mean() < 0.9 * np.abs(luma(pixelated) - luma(scene)).mean()


def test_clean_frames_are_not_returned(session: LiveSession, scene: Rgb) -> None:
    header, picture = decode_answer(session.process(encode_message(scene, "I420")))
    assert (header["repaired"], picture) == (False, b"")


def test_settings_select_which_frames_are_repaired(session: LiveSession, scene: Rgb) -> None:
    session.configure({"tier": "lanczos", "which": "all"})
    assert decode_answer(session.process(encode_message(scene, "I420")))[0]["repaired"]
    session.configure({"tier": "turbo", "which": "none"})
    assert not decode_answer(session.process(encode_message(pixelate(scene, block_px=4), "I420")))[0]["repaired"]
    invalid: tuple[dict[str, object], ...] = ({"tier": "nonsense"}, {"which": "nonsense"}, {"tier": []}, {"which": []})
    for settings in invalid:
        with pytest.raises(RefusedError):
            session.configure(settings)


def test_frame_size_may_change(session: LiveSession, scene: Rgb) -> None:
    for size in ((640, 360), (320, 180), (641, 361), (2, 2), (640, 360)):
        rgb = cv2.resize(scene, size, interpolation=cv2.INTER_NEAREST)
        form = "I420" if size[0] % 2 == 0 else "JPEG"
        assert decode_answer(session.process(encode_message(rgb, form)))[0]["kind"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"{}\n", b"[]\nx", b'{"form":"I420"}\n', b'{"form":"I420","width":4,"height":4}\nshort',
        b'{"form":"I420","width":-4,"height":-4}\n', b'{"form":"I420","width":99999,"height":99999}\n',
        b'{"form":"RGBA","width":2,"height":2}\n' + bytes(16), b'{"form":"JPEG","width":2,"height":2}\nnope',
        b'{"form":"NV12","width":1e9,"height":1}\n', b"[" * 5000, b'{"form":"I420","width":null,"height":2}\n',
    ],
)  # fmt: skip
def test_invalid_message_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        decode_message(data, Limits())


def test_jpeg_bomb_is_refused_by_its_header(scene: Rgb) -> None:
    jpeg = bytearray(encode_message(scene, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(RefusedError):
        decode_message(bytes(jpeg), Limits())


def test_third_connection_is_refused(server: Server, scene: Rgb) -> None:
    address = f"ws://{server.host}/live"
    with connect(address) as one, connect(address) as two:
        for socket in (one, two):
            socket.send(encode_message(pixelate(scene, block_px=4), "I420"))
            answer = socket.recv(timeout=10)
            assert isinstance(answer, bytes)
            assert decode_answer(answer)[0]["repaired"]
        with connect(address) as three:
            assert "Others are using" in json.loads(three.recv(timeout=10))["refused"]
        two.send("nonsense")
        assert "no such setting" in json.loads(two.recv(timeout=10))["refused"]
    with connect(address) as again:
        again.send(json.dumps({"tier": "lanczos", "which": "pixelated"}))
        again.send(encode_message(scene, "JPEG"))
        answer = again.recv(timeout=10)
        assert isinstance(answer, bytes)
        assert not decode_answer(answer)[0]["repaired"]
