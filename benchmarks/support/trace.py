"""The busy share of a GPU, and how far copies and kernels overlap, from a profiler's trace."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

Interval = tuple[float, float]


def busy(run: Callable[[], object]) -> dict[str, float]:
    """Trace one call of `run`: shares of its time, from the first to the last work on the card.

    `busy`: kernels or copies; `kernels`: kernels; `upload_overlap`, `download_overlap`: the share of the copies' own
    time in which kernels run, too.
    """
    with profile(activities=[ProfilerActivity.CUDA]) as trace:
        run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    kernels = _intervals(events, lambda name, kind: kind == "kernel")
    uploads = _intervals(events, lambda name, kind: kind == "gpu_memcpy" and "HtoD" in name)
    downloads = _intervals(events, lambda name, kind: kind == "gpu_memcpy" and "DtoH" in name)
    every = _union([*kernels, *uploads, *downloads])
    span = every[-1][1] - every[0][0]
    running = _union(kernels)
    return {
        "busy": round(_length(every) / span, 3),
        "kernels": round(_length(running) / span, 3),
        "upload_overlap": round(_shared(_union(uploads), running), 3),
        "download_overlap": round(_shared(_union(downloads), running), 3),
    }


def _intervals(events: list[dict[str, object]], wanted: Callable[[str, str], bool]) -> list[Interval]:
    return [
        (float(event["ts"]), float(event["ts"]) + float(event["dur"]))  # type: ignore[arg-type]
        for event in events
        if event.get("ph") == "X" and wanted(str(event.get("name")), str(event.get("cat")))
    ]


def _union(intervals: list[Interval]) -> list[Interval]:
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _length(intervals: list[Interval]) -> float:
    return sum(end - begin for begin, end in intervals)


def _shared(some: list[Interval], others: list[Interval]) -> float:
    """The share of `some` that lies within `others`."""
    if not some:
        return 0.0
    both = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in some for b in others)
    return both / _length(some)
