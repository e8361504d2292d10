"""Browser tests of every tab; screenshots are saved in build/screenshots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.web.conftest import SHOTS, OpenPage, SampleFiles, Server, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

THEMES_AND_WIDTHS = [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)]


def take_screenshot(page: Page, name: str) -> None:
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def accessibility_violations(page: Page) -> list[str]:
    """The violations that axe-core rates as serious or critical."""
    from axe_playwright_python.sync_playwright import Axe

    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{item['id']}: {node['html'][:160]}"
        for item in violations
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"]
    ]


def select_option(page: Page, elem_id: str, option: str) -> None:
    page.locator(f"#{elem_id} input").click()
    page.get_by_role("option", name=option).click()


def test_detect_shows_verdict_evidence_and_comparison(open_page: OpenPage, sample_files: SampleFiles) -> None:
    page = open_page("Detect")
    select_option(page, "detect-method", "grid · classical, no neural network")
    page.locator("#detect-picture input[type=file]").set_input_files(sample_files.pixelated)
    card = page.locator("#detect-verdict .dc-card")
    card.get_by_text("4 × 4 px").wait_for()
    assert card.locator("h3").inner_text() == "Pixelated"
    assert "grid" in card.inner_text()
    page.locator("#detect-evidence img").wait_for()
    page.locator("#detect-compare").click()
    page.locator("#detect-table tbody tr").nth(3).wait_for()
    assert page.locator("#detect-table tbody th").all_inner_texts()[0] == "lattice-net"


def test_picture_from_camera_and_from_clipboard(open_page: OpenPage) -> None:
    page = open_page("Detect")
    area, verdict = page.locator("#detect-picture"), page.locator("#detect-verdict")
    area.get_by_label("Capture from camera").click()
    area.get_by_text("Click to Access Webcam").click()
    area.get_by_label("capture photo").click()
    verdict.get_by_text("640 × 360 px").wait_for()
    page.evaluate(
        "async () => { const blob = await (await fetch('/examples/blocks-4.png')).blob();"
        "await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]); }"
    )
    area.get_by_label("Remove Image").click()
    verdict.get_by_text("Choose a picture").wait_for()
    area.get_by_label("Paste from clipboard").click()
    verdict.get_by_text("1920 × 1080 px").wait_for()


def test_errors_are_shown_in_place_of_the_result(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page("Detect")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page.locator("#detect-go").click()
    page.get_by_role("alert").get_by_text("Choose a file first.").wait_for()
    page.locator("#detect-picture input[type=file]").set_input_files(tmp_path / "bad.png")
    page.get_by_role("alert").get_by_text("This is not a picture").wait_for()
    page.locator("#detect-picture .dc-no-preview").wait_for()
    page.get_by_role("button", name="Use it from a program").click()
    page.get_by_role("dialog").get_by_text("/repair_video").first.wait_for()


def test_correct_viewer_compares_before_and_after(open_page: OpenPage, sample_files: SampleFiles) -> None:
    page = open_page("Correct")
    page.locator("#correct-picture input[type=file]").set_input_files(sample_files.pixelated)
    page.locator("#correct-picture img").first.wait_for()
    page.locator("#correct-go").click()
    viewer = page.locator(".dc-compare")
    viewer.wait_for()
    assert "has been repaired" in viewer.inner_text()
    page.wait_for_function("[...document.querySelectorAll('.dc-layers img')].every(i => i.naturalWidth == 480)")
    slider = viewer.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert page.evaluate("document.querySelector('.dc-layers').style.getPropertyValue('--at')") == "0%"
    box = viewer.locator(".dc-stage").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert int(slider.input_value()) == pytest.approx(750, abs=10)
    viewer.get_by_label("8×").check()
    wide = page.evaluate("document.querySelector('.dc-layers').offsetWidth * devicePixelRatio")
    assert wide == 480 * 8
    viewer.get_by_label("Difference").check()
    take_screenshot(page, "correct-difference")
    with page.expect_download() as download:
        viewer.get_by_text("Download PNG").click()
    assert download.value.suggested_filename == "pixelated.clear.png"
    assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_touch_moves_the_divider(open_page: OpenPage) -> None:
    page = open_page("Correct", width=390, touch=True)
    page.locator("#correct-examples .dc-example").first.click()
    page.locator(".dc-compare").wait_for()
    page.locator(".dc-divider").scroll_into_view_if_needed()
    box = page.locator(".dc-divider").bounding_box()
    slider = page.locator(".dc-slide input")
    assert box is not None
    devtools = page.context.new_cdp_session(page)
    before, x, y = int(slider.input_value()), box["x"] + 12, box["y"] + box["height"] / 2

    def touch(kind: str, *at: float) -> None:
        points = [{"x": at[0], "y": at[1]}] if at else []
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", x, y)
    for step in range(1, 9):
        touch("touchMove", x + 10 * step, y + 2 * step)
    touch("touchCancel")
    page.evaluate("new Promise(requestAnimationFrame)")
    moved = int(slider.input_value())
    assert moved > before + 30
    page.mouse.move(x, y)
    assert int(slider.input_value()) == moved


def test_repeated_start_clicks_leave_no_camera_on(open_page: OpenPage) -> None:
    script = (
        "const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); window.tracks = [];"
        "navigator.mediaDevices.getUserMedia = async constraints => { await new Promise(done => setTimeout(done, 300));"
        "const stream = await original(constraints); tracks.push(...stream.getTracks()); return stream; };"
    )
    page = open_page("Live", script=script)
    page.evaluate("for (let n = 0; n < 3; n++) document.querySelector('.dc-start').click()")
    page.get_by_role("button", name="Stop camera").click()
    page.get_by_text("The camera is off.").wait_for()
    assert page.evaluate("tracks.map(track => track.readyState)") == ["ended"]


def test_clean_picture_is_repaired_only_with_repair_anyway(open_page: OpenPage, sample_files: SampleFiles) -> None:
    page = open_page("Correct")
    select_option(page, "correct-tier", "lanczos · interpolation only")
    page.locator("#correct-picture input[type=file]").set_input_files(sample_files.clean)
    page.locator("#correct-picture img").first.wait_for()
    page.locator("#correct-go").click()
    page.get_by_text("Nothing was changed").wait_for()
    page.locator("#correct-anyway").click()
    page.locator(".dc-compare").wait_for()
    assert "because you asked for it" in page.locator(".dc-compare").inner_text()


def test_video_is_repaired_and_shown_with_its_report(open_page: OpenPage, sample_files: SampleFiles) -> None:
    page = open_page("Video")
    page.locator("#video-file input[type=file]").set_input_files(sample_files.clip)
    page.get_by_text("320 × 180 px").wait_for()
    page.locator("#video-go").click()
    page.locator(".dc-video video").wait_for(timeout=30_000)
    assert "4 of 10 frames were repaired" in page.locator(".dc-video").inner_text()
    page.wait_for_function("document.querySelector('.dc-video video').readyState > 0")
    assert page.evaluate("document.querySelector('.dc-video video').videoWidth") == 1920
    report = page.frame_locator(".dc-report")
    report.get_by_text("4 of 10 frames").first.wait_for()
    take_screenshot(page, "video-done")


def test_cancelled_video_leaves_no_result(open_page: OpenPage, sample_files: SampleFiles, server: Server) -> None:
    page = open_page("Video")
    page.locator("#video-file input[type=file]").set_input_files(sample_files.long_clip)
    page.get_by_text("320 × 180 px").wait_for()
    page.locator("#video-go").click()
    page.locator(".dc-progress").wait_for()
    take_screenshot(page, "video-progress")
    page.locator("#video-cancel").click()
    page.get_by_text("Cancelled. No result was saved.").wait_for()
    assert [path.name for path in server.files() if "long.clear" in path.name] == []


def test_closing_the_page_cancels_its_video(open_page: OpenPage, sample_files: SampleFiles, server: Server) -> None:
    from tests.web.conftest import wait_for

    page = open_page("Video")
    page.locator("#video-file input[type=file]").set_input_files(sample_files.long_clip)
    page.get_by_text("320 × 180 px").wait_for()
    page.locator("#video-go").click()
    page.locator(".dc-progress").wait_for()

    def has_output() -> bool:
        return any("long.clear" in path.name for path in server.files())

    wait_for(has_output)
    page.close()
    wait_for(lambda: not has_output())


@pytest.mark.parametrize("form", ["raw", "jpeg"])
def test_live_repairs_the_camera(open_page: OpenPage, form: str) -> None:
    page = open_page(
        "Live", script="" if form == "raw" else "delete window.VideoFrame"
    )  # as in a browser on another machine
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text("pixelated, 4 px").wait_for(timeout=15_000)
    assert page.locator(".dc-fps").inner_text().endswith("frames/s")
    differs = page.evaluate(
        "(() => { const [one, other] = ['before', 'after'].map(name => document.querySelector('.dc-live .dc-' + name)"
        ".getContext('2d').getImageData(0, 0, 640, 360).data); let sum = 0;"
        "for (let i = 0; i < one.length; i += 4) sum += Math.abs(one[i] - other[i]); return sum / (640 * 360); })()"
    )
    assert 0.3 < differs < 60  # repaired, and at most about one frame apart
    take_screenshot(page, "live-on")
    page.get_by_role("button", name="Stop camera").click()
    page.get_by_text("The camera is off.").wait_for()


@pytest.mark.parametrize(("theme", "width"), THEMES_AND_WIDTHS)
def test_tabs_are_accessible_and_fit_the_width(open_page: OpenPage, theme: str, width: int) -> None:
    page = open_page("Detect", theme=theme, width=width)
    page.locator("#detect-examples .dc-example").first.click()
    page.locator("#detect-evidence img").wait_for()
    violations: dict[str, list[str]] = {}
    for tab in ("Detect", "Correct", "Video", "Live"):
        page.get_by_role("tab", name=tab).click()
        if tab == "Correct":
            page.locator("#correct-examples .dc-example").first.click()
            page.locator(".dc-compare").wait_for()
        page.wait_for_function("[...document.images].every(image => image.complete)")
        take_screenshot(page, f"{tab.lower()}-{theme}-{width}")
        violations[tab] = accessibility_violations(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert json.dumps(violations, indent=1) == json.dumps({tab: [] for tab in violations}, indent=1)


def test_only_option_serves_one_page(browser: Any, tmp_path: Path) -> None:
    with serving(tmp_path, "--only", "correct") as server:
        page = browser.new_page()
        page.goto(server.address)
        page.locator("#correct-go").wait_for()
        assert page.get_by_role("tab").count() == 0
        assert page.locator("#detect-go").count() == 0
        page.close()
