"""Browser tests of files that are dropped and pasted, of several pictures, two tiers, links, keys and the timeline."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.web.conftest import OpenPage, SampleFiles, Server
from tests.web.test_browser import accessibility_violations, select_option, take_screenshot

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

MAKE_FILES = """async files => { window.transfer = new DataTransfer();
  for (const {name, type, data} of files) {
    const blob = await (await fetch(`data:${type};base64,${data}`)).blob();
    transfer.items.add(new File([blob], name, {type}));
  } }"""


def hand_over(page: Page, paths: list[Path], *, event: str) -> None:
    """Drop files on the page, or paste them; `event`: `drop` or `paste`."""
    types = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}
    page.evaluate(
        MAKE_FILES,
        [
            {"name": path.name, "type": types[path.suffix], "data": base64.b64encode(path.read_bytes()).decode()}
            for path in paths
        ],
    )
    made = {
        "drop": "new DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})",
        "paste": "new ClipboardEvent('paste', {clipboardData: transfer, bubbles: true, cancelable: true})",
    }
    page.evaluate(f"document.body.dispatchEvent({made[event]})")


@pytest.mark.parametrize("look", [("light", 1280), ("dark", 390)])
def test_dropped_pictures_become_a_gallery_with_a_link(
    open_page: OpenPage, sample_files: SampleFiles, server: Server, tmp_path: Path, look: tuple[str, int]
) -> None:
    theme, width = look
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page = open_page("Correct", theme=theme, width=width)
    page.locator("#correct-inbox .dc-choose").wait_for()
    hand_over(page, [sample_files.pixelated, tmp_path / "bad.png", sample_files.clean], event="drop")
    page.get_by_text("Download all (ZIP)").wait_for(timeout=60_000)
    assert "1 of 3 pictures was repaired" in page.locator(".dc-gallery").inner_text()
    assert "bad.png This is not a picture" in page.locator(".dc-problems").inner_text()
    page.get_by_role("link", name="pixelated.png").click()
    page.locator(".dc-opened .dc-compare").wait_for()
    page.wait_for_function("[...document.querySelectorAll('.dc-gallery img')].every(image => image.naturalWidth)")
    take_screenshot(page, f"gallery-{theme}-{width}")
    assert accessibility_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    with page.expect_download() as download:
        page.get_by_text("Download all (ZIP)").click()
    assert download.value.suggested_filename == "deepclarity.zip"
    page.get_by_text("Copy link").click()
    page.get_by_text("Link copied").wait_for()
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    page.reload()
    page.get_by_text("This page and its files are deleted in").wait_for()
    take_screenshot(page, f"result-{theme}-{width}")
    assert accessibility_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="pixelated.png").click()
    page.locator(".dc-opened .dc-compare").wait_for()
    page.goto(f"{server.address}/results/{'x' * 32}")
    page.get_by_text("There is no such result").first.wait_for()
    assert accessibility_violations(page) == []


def test_a_pasted_picture_is_repaired_by_enter_and_compared_by_keys(
    open_page: OpenPage, sample_files: SampleFiles
) -> None:
    page = open_page("Correct")
    select_option(page, "correct-other", "lanczos · interpolation only")
    hand_over(page, [sample_files.pixelated], event="paste")
    page.locator("#correct-picture img").first.wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Enter")
    viewer = page.locator(".dc-compare")
    viewer.wait_for()
    assert viewer.get_attribute("data-view") == "tiers"
    page.wait_for_function("[...document.querySelectorAll('.dc-layers img')].every(i => i.naturalWidth == 480)")
    assert viewer.locator(".dc-slide").inner_text().split() == ["lanczos", "srgan"]
    viewer.locator(".dc-stage").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    assert viewer.locator("input[type=range]").input_value() == "539"
    viewer.get_by_label("Input | srgan").check()
    assert viewer.locator(".dc-slide").inner_text().split() == ["Input", "srgan"]
    assert not viewer.locator(".dc-other").is_visible()
    take_screenshot(page, "correct-tiers")
    assert accessibility_violations(page) == []


def test_what_has_the_focus_is_seen(open_page: OpenPage) -> None:
    page = open_page("Correct")
    page.locator("#correct-inbox .dc-choose").wait_for()
    order = []
    for _ in range(24):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "(() => { const node = document.activeElement, style = getComputedStyle(node);"
            "const outlined = style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 0;"
            "return [(node.innerText || node.ariaLabel || node.id || node.tagName).trim(),"
            "node == document.body || node.type == 'file' || outlined || style.boxShadow != 'none']; })()"
        )
        order.append(seen)
    assert [name for name, visible in order if not visible] == []
    names = [name for name, _ in order]
    assert names.index("Choose several pictures") < names.index("Repair") < names.index("4-pixel blocks")


def test_limits_are_said_before_anything_is_sent(open_page: OpenPage, sample_files: SampleFiles) -> None:
    page = open_page("Detect")
    page.locator("#detect-inbox .dc-choose").wait_for()
    hand_over(page, [sample_files.clean] * 51, event="drop")
    page.locator("#detect-inbox").get_by_text("These are 51 pictures: at most 50 at once.").wait_for()
    hand_over(page, [sample_files.clean] * 2, event="drop")
    page.get_by_text("0 of 2 pictures are pixelated.").wait_for()


def test_a_dropped_video_shows_what_was_done_and_why(open_page: OpenPage, sample_files: SampleFiles) -> None:
    page = open_page("Correct")
    page.locator("#correct-inbox .dc-choose").wait_for()
    hand_over(page, [sample_files.clip], event="drop")
    page.get_by_text("320 × 180 px").wait_for()
    assert page.get_by_role("tab", name="Video").get_attribute("aria-selected") == "true"
    page.locator("#video-go").click()
    timeline = page.locator(".dc-timeline")
    timeline.wait_for(timeout=30_000)
    rows = timeline.locator("tbody tr").all_inner_texts()
    assert len(rows) == 3
    assert "Pixelated, in blocks of 4 px" in rows[1]
    assert accessibility_violations(page) == []
    page.wait_for_function("document.querySelector('.dc-video video').readyState > 0")
    timeline.get_by_role("button", name="0:00.12 –").click()
    assert page.evaluate("document.querySelector('.dc-video video').currentTime") == pytest.approx(0.12, abs=0.01)
    page.goto(page.locator(".dc-video .dc-link").evaluate("link => link.href"))
    page.locator(".dc-timeline").wait_for()
