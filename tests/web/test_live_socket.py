"""The camera: what is sound comes back untouched, what is pixelated comes back repaired, nonsense is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from deepclarity.pipelines.demo.scene import pixelate
from deepclarity.web.live_socket import Live, read
from deepclarity.web.messages import RefusedError
from deepclarity.web.security.limits import Limits
from tests.conftest import Rgb
from tests.web.conftest import Server


@pytest.fixture
def live() -> Iterator[Live]:
    made = Live(Limits(), device="cpu")
    yield made
    made.close()


@pytest.fixture
def scene(painting: Rgb) -> Rgb:
    return np.ascontiguousarray(painting[100:460, 400:1040])


def message(rgb: Rgb, form: str) -> bytes:
    """A picture as the browser sends it."""
    height, width = rgb.shape[:2]
    head = json.dumps({"form": form, "width": width, "height": height}).encode() + b"\n"
    if form == "JPEG":
        return head + cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
    planar = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    if form == "NV12":
        luma, chroma = planar[:height], planar[height:].reshape(2, -1)
        return head + luma.tobytes() + np.ascontiguousarray(chroma.T).tobytes()
    return head + planar.tobytes()


def parts(answer: bytes) -> tuple[dict[str, object], bytes]:
    head, _, picture = answer.partition(b"\n")
    return json.loads(head), picture


def luma(rgb: Rgb) -> NDArray[np.float64]:
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)[: rgb.shape[0]].astype(float)


@pytest.mark.parametrize("form", ["I420", "NV12", "JPEG"])
def test_pixelated_frames_come_back_repaired(live: Live, scene: Rgb, form: str) -> None:
    broken = pixelate(scene, block_px=4)
    head, picture = parts(live.answer(message(broken, form)))
    assert (head["repaired"], head["kind"], head["block_px"]) == (True, "pixelated", 4.0)
    if form == "JPEG":
        seen = luma(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].copy())  # type: ignore[arg-type,index]
    else:
        assert len(picture) == 640 * 360 * 3 // 2
        seen = np.frombuffer(picture, np.uint8)[: 640 * 360].reshape(360, 640).astype(float)
    assert np.abs(seen - luma(scene)).mean() < 0.9 * np.abs(luma(broken) - luma(scene)).mean()


def test_sound_frames_are_not_sent_back(live: Live, scene: Rgb) -> None:
    head, picture = parts(live.answer(message(scene, "I420")))
    assert (head["repaired"], picture) == (False, b"")


def test_every_frame_or_none_on_request(live: Live, scene: Rgb) -> None:
    live.set({"tier": "lanczos", "which": "all"})
    assert parts(live.answer(message(scene, "I420")))[0]["repaired"]
    live.set({"tier": "turbo", "which": "none"})
    assert not parts(live.answer(message(pixelate(scene, block_px=4), "I420")))[0]["repaired"]
    wishes: tuple[dict[str, object], ...] = ({"tier": "nonsense"}, {"which": "nonsense"}, {"tier": []}, {"which": []})
    for wish in wishes:
        with pytest.raises(RefusedError):
            live.set(wish)


def test_cameras_change_their_size(live: Live, scene: Rgb) -> None:
    for size in ((640, 360), (320, 180), (641, 361), (2, 2), (640, 360)):
        rgb = cv2.resize(scene, size, interpolation=cv2.INTER_NEAREST)
        form = "I420" if size[0] % 2 == 0 else "JPEG"
        assert parts(live.answer(message(rgb, form)))[0]["kind"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"\n", b"{}\n", b"[]\nx", b'{"form":"I420"}\n', b'{"form":"I420","width":4,"height":4}\nshort',
        b'{"form":"I420","width":-4,"height":-4}\n', b'{"form":"I420","width":99999,"height":99999}\n',
        b'{"form":"RGBA","width":2,"height":2}\n' + bytes(16), b'{"form":"JPEG","width":2,"height":2}\nnope',
        b'{"form":"NV12","width":1e9,"height":1}\n', b"[" * 5000, b'{"form":"I420","width":null,"height":2}\n',
    ],
)  # fmt: skip
def test_nonsense_is_refused(sent: bytes) -> None:
    with pytest.raises(RefusedError):
        read(sent, Limits())


def test_a_jpeg_bomb_is_refused_by_its_head(scene: Rgb) -> None:
    jpeg = bytearray(message(scene, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(RefusedError):
        read(bytes(jpeg), Limits())


def test_two_may_watch_and_a_third_is_told(server: Server, scene: Rgb) -> None:
    address = f"ws://{server.host}/live"
    with connect(address) as one, connect(address) as two:
        for socket in (one, two):
            socket.send(message(pixelate(scene, block_px=4), "I420"))
            answer = socket.recv(timeout=10)
            assert isinstance(answer, bytes)
            assert parts(answer)[0]["repaired"]
        with connect(address) as three:
            assert "Others are using" in json.loads(three.recv(timeout=10))["refused"]
        two.send("nonsense")
        assert "no such setting" in json.loads(two.recv(timeout=10))["refused"]
    with connect(address) as again:
        again.send(json.dumps({"tier": "lanczos", "which": "pixelated"}))
        again.send(message(scene, "JPEG"))
        answer = again.recv(timeout=10)
        assert isinstance(answer, bytes)
        assert not parts(answer)[0]["repaired"]
