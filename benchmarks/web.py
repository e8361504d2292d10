"""Claim: the web app responds quickly, and requests that it must refuse cost next to nothing.

Everything is measured from outside: `deepclarity web` in its own process, Chromium as the browser, plain sockets as
other clients. Writes the JSON and the table in docs/web.md.

    python benchmarks/web.py [--rounds 7] [--only gallery] [--out benchmarks/results/web.json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright
from support.machine import describe
from support.web_gallery import datasets, gallery
from support.web_limits import bomb, flood, slow

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "web.md"
LIVE_S = 12


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[str, int, float]]:
    """The running app: address, process and start time."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "deepclarity", "web", "--port", "0", "--device", "cpu", *options]
    env = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        address = next(word for word in process.stdout.readline().split() if "://" in word)
        try:
            yield address, process.pid, began
        finally:
            process.terminate()


def memory_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now, or (`VmHWM`) its peak since `forget_peak`."""
    found = re.search(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def forget_peak(pid: int) -> float:
    """Reset the peak; returns the resident memory now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return memory_mb(pid)


def median(rounds: int, work: Callable[[], float]) -> dict[str, float]:
    """Median and others of seconds; the first round fills caches and is listed separately."""
    first, *later = (work() for _ in range(rounds + 1))
    return {"median_s": round(statistics.median(later), 3), "worst_s": round(max(later), 3), "first_s": round(first, 3)}


def start(folder: Path, browser: Browser) -> dict[str, float]:
    """From start to a usable page."""
    with served(folder) as (address, pid, began):
        page = browser.new_page()
        page.goto(address)
        page.locator("#detect-go").wait_for()
        usable_s = time.perf_counter() - began
        time.sleep(6)  # until the examples are shown
        idle = memory_mb(pid)
        page.close()
    return {"first_page_s": round(usable_s, 2), "idle_mb": round(idle)}


def detect(page: Page, photo: Path) -> float:
    """From choosing a file to the verdict on the page."""
    for button in page.locator("#detect-picture").get_by_label("Remove Image").all():
        button.click()
    page.get_by_text("Choose a picture: upload one").wait_for()
    began = time.perf_counter()
    page.locator("#detect-picture input[type=file]").set_input_files(photo)
    page.locator("#detect-verdict .dc-facts").wait_for()
    took_s = time.perf_counter() - began
    page.locator("#detect-evidence img").wait_for()
    return took_s


def detect_by_program(address: str, photo: bytes) -> float:
    """The same by HTTP."""
    with httpx.Client(base_url=address, timeout=60) as web:
        began = time.perf_counter()
        path = web.post("/gradio_api/upload", files={"files": ("photo.jpg", photo)}).json()[0]
        body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "lattice-net"]}
        event = web.post("/gradio_api/call/detect", json=body).json()["event_id"]
        assert "event: complete" in web.get(f"/gradio_api/call/detect/{event}").text
        return time.perf_counter() - began


def correct(page: Page) -> float:
    """From the press of "Repair" to both pictures on the page."""
    page.evaluate("document.querySelector('.dc-compare')?.remove()")
    began = time.perf_counter()
    page.locator("#correct-go").click()
    page.wait_for_function(
        "(() => { const all = [...document.querySelectorAll('.dc-layers img')];"
        "return all.length == 2 && all.every(image => image.complete && image.naturalWidth); })()"
    )
    return time.perf_counter() - began


def live(page: Page) -> dict[str, float]:
    """Frames per second and delay, as displayed on the page."""
    page.get_by_role("button", name="Start camera").click()
    page.get_by_text("pixelated, 4 px").wait_for(timeout=30_000)
    time.sleep(2)
    rates, lags = [], []
    for _ in range(2 * LIVE_S):
        time.sleep(0.5)
        rates.append(float(page.locator(".dc-fps").inner_text().split()[0]))
        lags.append(float(page.locator(".dc-lag").inner_text().split()[0]))
    page.get_by_role("button", name="Stop camera").click()
    return {
        "median_frames_per_s": statistics.median(rates),
        "least_frames_per_s": min(rates),
        "median_lag_ms": statistics.median(lags),
        "worst_lag_ms": max(lags),
    }


async def fifty(address: str, picture: bytes) -> dict[str, Any]:
    """Many repairs requested at once."""
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=httpx.Limits(max_connections=60)) as web:
        path = (await web.post("/gradio_api/upload", files={"files": ("p.png", picture)})).json()[0]
        body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "srgan", False]}

        async def ask() -> tuple[str, float]:
            began = time.perf_counter()
            joined = await web.post("/gradio_api/call/correct", json=body)
            if joined.status_code == 503:
                return "refused", time.perf_counter() - began
            answer = await web.get(f"/gradio_api/call/correct/{joined.json()['event_id']}")
            return "answered" if "event: complete" in answer.text else "failed", time.perf_counter() - began

        reported = await asyncio.gather(*(ask() for _ in range(50)))
    counts = {word: sum(one == word for one, _ in reported) for word in ("answered", "refused", "failed")}
    refusals = [took for word, took in reported if word == "refused"]
    return {
        **counts,
        "last_s": round(max(took for _, took in reported), 2),
        "refused_within_s": round(max(refusals), 3),
    }


def with_memory(pid: int, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `work`, and the peak growth of the server's memory meanwhile."""
    before = forget_peak(pid)
    reported = work()
    return {**reported, "grown_mb": round(memory_mb(pid, "VmHWM") - before, 1)}


def measure(rounds: int, *, only: str | None = None) -> dict[str, Any]:
    """Everything, one after the other, or the gallery alone."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        photo, broken, camera = datasets(folder)
        flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        flags.append(f"--use-file-for-fake-video-capture={camera}")
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        load_before = os.getloadavg()[0]
        if only == "gallery":
            reported = measure_gallery(folder, browser, rounds)
            browser.close()
            return reported
        starts = [start(folder, browser) for _ in range(3)]
        reported = {
            "start": {
                "first_page_s": statistics.median(one["first_page_s"] for one in starts),
                "first_page_worst_s": max(one["first_page_s"] for one in starts),
                "idle_mb": max(one["idle_mb"] for one in starts),
            }
        }
        with served(folder, "--max-upload", "512") as (address, pid, _):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.locator("#detect-go").wait_for()
            time.sleep(5)
            reported["detect_12_mp"] = {
                "browser": median(rounds, lambda: detect(page, photo)),
                "program": median(rounds, lambda: detect_by_program(address, photo.read_bytes())),
                "bytes": photo.stat().st_size,
            }
            page.get_by_role("tab", name="Correct").click()
            page.locator("#correct-picture input[type=file]").set_input_files(broken)
            page.locator("#correct-picture img").first.wait_for()
            time.sleep(1)
            reported["correct_fhd_srgan"] = median(rounds, lambda: correct(page))
            reported.update(measure_gallery(folder, browser, min(3, rounds)))
            page.get_by_role("tab", name="Live").click()
            reported["live_640x360_turbo"] = live(page)
            page.close()
            picture = broken.read_bytes()
            reported["fifty_at_once"] = with_memory(pid, lambda: _elsewhere(lambda: fifty(address, picture)))
            reported["bomb"] = with_memory(pid, lambda: bomb(address))
            reported["flood_declared"] = with_memory(pid, lambda: flood(address, declared=True))
            reported["flood_chunked"] = with_memory(pid, lambda: flood(address, declared=False))
            reported["slow_upload"] = with_memory(pid, lambda: slow(address))
        browser.close()
        load = {"load_average_before": round(load_before, 2), "load_average_after": round(os.getloadavg()[0], 2)}
    return {"machine": describe(), "settings": {"rounds": rounds, "live_s": LIVE_S}, **load, **reported}


def measure_gallery(folder: Path, browser: Browser, rounds: int) -> dict[str, Any]:
    """Many pictures dropped at once, on a server of their own."""
    load, priority = os.getloadavg()[0], os.sched_getscheduler(0) != os.SCHED_OTHER
    with served(folder) as (address, _, _):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        measured = gallery(page, address, rounds=rounds)
        page.close()
    loads = [round(load, 2), round(os.getloadavg()[0], 2)]
    return {"gallery": {**measured, "rounds": rounds, "real_time_priority": priority, "load_average": loads}}


def _elsewhere(work: Callable[[], Any]) -> dict[str, Any]:
    """Run a coroutine in a separate thread: the browser's event loop occupies this one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        result: dict[str, Any] = pool.submit(lambda: asyncio.run(work())).result()
    return result


def table(reported: dict[str, Any]) -> str:
    """The rows of docs/web.md."""
    start, detected, live_results, many = (
        reported[key] for key in ("start", "detect_12_mp", "live_640x360_turbo", "fifty_at_once")
    )
    machine, many_at_once = reported["machine"], reported["gallery"]
    floods = [reported[key] for key in ("bomb", "flood_declared", "flood_chunked", "slow_upload")]
    worst = max(one["refused_within_s"] for one in floods)
    rows = [
        ("start to a page that can be used; idle memory", f"{start['first_page_s']} s; {start['idle_mb']} MB"),
        ("detect, 12 megapixels, from file to verdict",
         f"{detected['browser']['median_s']} s in the browser, {detected['program']['median_s']} s by a program"),
        ("correct, Full HD in 4-pixel blocks, `srgan`, to both pictures shown",
         f"{reported['correct_fhd_srgan']['median_s']} s"),
        ("live, 640x360 in 4-pixel blocks, `turbo`",
         f"{live_results['median_frames_per_s']} frames/s shown, "
         f"{live_results['median_lag_ms']:.0f} ms behind the camera"),
        ("20 Full HD pictures dropped at once, one of them bad: to the complete gallery; its ZIP file",
         f"{many_at_once['median_s']} s, the first picture after {many_at_once['first_picture_s']} s; "
         f"{many_at_once['zip_mb']} MB in {many_at_once['zip_s']} s "
         f"(load average {' to '.join(str(load) for load in many_at_once['load_average'])}"
         f"{', with priority over the other work (`chrt -r 1`)' if many_at_once['real_time_priority'] else ''})"),
        ("50 repairs at once",
         f"{many['answered']} answered within {many['last_s']} s, {many['refused']} refused within "
         f"{many['refused_within_s']} s; +{many['grown_mb']} MB"),
        ("50,000 x 50,000 PNG, 1 GB uploads, slow upload",
         f"refused {worst} s after it was known, at most; +{max(one['grown_mb'] for one in floods)} MB"),
    ]  # fmt: skip
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows), ""]
    lines.append(
        f"{machine['cores']} cores of {machine['cpu']}, Chromium on the same cores; medians of "
        f"{reported['settings']['rounds']} rounds; load average {reported['load_average_before']} before and "
        f"{reported['load_average_after']} after. `python benchmarks/web.py` measures it again."
    )
    return "\n".join(lines)


def main() -> None:
    """Measure, and write both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=["gallery"], help="measure this alone; the other figures stay")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "web.json")
    given = parser.parse_args()
    reported = measure(given.rounds, only=given.only)
    if given.only:
        reported = {**json.loads(given.out.read_text()), **reported}
    given.out.write_text(json.dumps(reported, indent=1) + "\n")
    text = PAGE.read_text()
    pattern = re.compile(r"(<!-- web -->).*?(<!-- /web -->)", re.DOTALL)
    PAGE.write_text(pattern.sub(lambda found: f"{found[1]}\n{table(reported)}\n{found[2]}", text))
    print(json.dumps(reported, indent=1))


if __name__ == "__main__":
    main()
