"""Files for the web benchmark, and the measurement of many pictures dropped at once."""

from __future__ import annotations

import base64
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from playwright.sync_api import Page

from deepclarity.pipelines.demo.scene import paint, pan, pixelate

COUNT, BAD = 20, 7
_BLOCKS_PX = (4, 2.5, 8, 0, 3)
_DROP = """async files => { const transfer = new DataTransfer();
  for (const [name, type, data] of files) {
    const blob = await (await fetch(`data:${type};base64,${data}`)).blob();
    transfer.items.add(new File([blob], name, {type}));
  }
  window.dropped = performance.now();
  document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})); }"""
_DONE = """[...document.querySelectorAll('.dc-tile img')].length == %d
  && [...document.querySelectorAll('.dc-tile img')].every(image => image.complete && image.naturalWidth)
  && document.querySelector('.dc-gallery .dc-download') !== null"""


def datasets(folder: Path) -> tuple[Path, Path, Path]:
    """A 12-megapixel photo, a Full HD picture enlarged from 480x270, and a camera."""
    canvas = paint()
    photo, broken, camera = folder / "photo.jpg", folder / "broken.png", folder / "camera.y4m"
    large = cv2.resize(canvas[:, :1440], (4000, 3000), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    # sensor noise: without it the file would be smaller than a camera's
    grain = np.random.default_rng(3).normal(0, 4, large.shape)
    large = np.clip(large + grain, 0, 255).astype(np.uint8)
    cv2.imwrite(str(photo), large[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    cv2.imwrite(str(broken), pixelate(np.ascontiguousarray(canvas[:, 320:2240]), block_px=4)[..., ::-1])
    with camera.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H360 F30:1 Ip A1:1 C420jpeg\n")
        for frame in pan(canvas, count=60, width=640, height=360):
            file.write(b"FRAME\n" + cv2.cvtColor(pixelate(frame, block_px=4), cv2.COLOR_RGB2YUV_I420).tobytes())
    return photo, broken, camera


def pictures() -> list[tuple[str, str, str]]:
    """(name, media type, base64) of `COUNT` Full HD pictures: blocks of several sizes, clean ones, and a bad one."""
    canvas, files = paint(), []
    for number in range(COUNT):
        picture = np.ascontiguousarray(canvas[:, 30 * number : 30 * number + 1920])
        block_px = _BLOCKS_PX[number % len(_BLOCKS_PX)]
        picture = pixelate(picture, block_px=block_px) if block_px else picture
        suffix, kind = (".jpg", "image/jpeg") if number % 3 == 0 else (".png", "image/png")
        content = cv2.imencode(suffix, picture[..., ::-1])[1].tobytes()
        if number == BAD:
            content = content[: len(content) // 2]
        files.append((f"picture {number}{suffix}", kind, base64.b64encode(content).decode()))
    return files


def gallery(page: Page, address: str, *, rounds: int) -> dict[str, Any]:
    """Seconds from the drop of 20 pictures to the complete gallery; its bad picture is named, and its ZIP complete."""
    files, taken_s, first_s = pictures(), [], []
    for _ in range(rounds + 1):
        page.goto(address)
        page.get_by_role("tab", name="Correct").click()
        page.locator("#correct-inbox .dc-choose").wait_for()
        page.evaluate(_DROP, files)
        page.locator(".dc-tile img").first.wait_for(timeout=60_000)
        first_s.append(page.evaluate("(performance.now() - dropped) / 1000"))
        page.wait_for_function(_DONE % (COUNT - 1), timeout=120_000)
        taken_s.append(page.evaluate("(performance.now() - dropped) / 1000"))
        problem = page.locator(".dc-problems").inner_text()
        assert f"picture {BAD}" in problem, problem
    began = time.perf_counter()
    link = page.locator(".dc-gallery .dc-download").first.get_attribute("href")
    content = httpx.get(f"{address}{link}", timeout=60).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert len(names) == COUNT - 1 + 1, names  # without the bad one, and with results.json
    return {
        "pictures": COUNT,
        "median_s": round(sorted(taken_s[1:])[rounds // 2], 2),
        "worst_s": round(max(taken_s[1:]), 2),
        "first_s": round(taken_s[0], 2),
        "first_picture_s": round(sorted(first_s[1:])[rounds // 2], 2),
        "zip_s": round(time.perf_counter() - began, 2),
        "zip_mb": round(len(content) / 1e6, 1),
    }
