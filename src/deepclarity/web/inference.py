"""What is done with one picture: judged, explained, repaired. Tabs and API both come here."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from deepclarity.models.detectors import DEFAULT_DETECTOR, DETECTORS
from deepclarity.models.verdict import Verdict
from deepclarity.pipelines.correct import correct
from deepclarity.pipelines.report.explain import SMALLEST_PX, explain_picture
from deepclarity.stream.files.still import Picture, write_picture

from .messages import RefusedError, blocks_of
from .model_cache import ModelCache
from .security.content_check import open_picture
from .security.limits import Limits
from .storage.results import ResultStore, download_name


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict on an uploaded picture."""

    verdict: Verdict
    method: str
    ms: float
    size: tuple[int, int]
    """(width, height)."""
    notes: list[str]

    def as_json(self) -> dict[str, object]:
        """For programs: the keys of `deepclarity detect --json`."""
        blocks = self.verdict.blocks if self.verdict.pixelated else None
        return {
            "pixelated": self.verdict.pixelated,
            "kind": str(self.verdict.kind),
            "score": round(self.verdict.score, 4),
            "block_px": round(blocks.width_px, 4) if blocks else None,
            "block_height_px": round(blocks.height_px, 4) if blocks else None,
            "method": self.method,
            "ms": round(self.ms, 3),
        }


@dataclass(frozen=True, slots=True)
class Made:
    """What became of an uploaded picture."""

    found: Found
    repaired: bool
    before: Path
    """The picture as it was read, lossless, of the size of `after`."""
    after: Path
    tier: str
    backend: str
    took_s: float


@dataclass(frozen=True, slots=True)
class Inference:
    """Everything that work on a picture needs."""

    limits: Limits
    store: ResultStore
    models: ModelCache

    def detect(self, payload: object, method: object = DEFAULT_DETECTOR) -> Found:
        """Judge an uploaded picture."""
        detector = self.models.detector(method)
        picture, notes = open_picture(self.store.uploaded(payload), self.limits)
        return self._scored(picture, detector.name, notes)

    def compare(self, payload: object) -> list[Found]:
        """Judge an uploaded picture by every method."""
        picture, notes = open_picture(self.store.uploaded(payload), self.limits)
        for method in DETECTORS:  # the first call builds what later calls use
            self._scored(picture, method, notes)
        return [self._scored(picture, method, notes) for method in DETECTORS]

    def explain(self, payload: object, method: object = DEFAULT_DETECTOR) -> Path | None:
        """Draw the evidence; None for pictures that are too small to show any."""
        picture, notes = open_picture(self.store.uploaded(payload), self.limits)
        found = self._scored(picture, self.models.detector(method).name, notes)
        if min(found.size) < SMALLEST_PX:
            return None
        target = self.store.place("evidence.png")
        write_picture(target, explain_picture(picture, found.verdict, title=Path(download_name(payload, "")).name))
        return target

    def correct(self, payload: object, tier: object = "srgan", *, force: bool = False) -> Made:
        """Repair an uploaded picture at its own size, if it is pixelated or `force` says so."""
        began = time.perf_counter()
        path = self.store.uploaded(payload)
        enhancer, detector = self.models.enhancer(tier), self.models.detector(DEFAULT_DETECTOR)
        picture, notes = open_picture(path, self.limits)
        found = self._scored(picture, detector.name, notes)
        if force and not found.verdict.pixelated and found.size[0] * found.size[1] > self.limits.forced_px:
            most = f"{self.limits.forced_px / 1e6:.0f} megapixels"
            raise RefusedError(f"It is not pixelated, and too large to be repaired anyway: at most {most} are taken.")
        done = correct(picture, detector=detector, enhancer=enhancer, force=bool(force))
        after = self.store.place(download_name(payload, ".clear.png"))
        before = after.with_name("before.png")
        write_picture(before, picture)
        if done.repaired:
            write_picture(after, done.picture)
        took_s = time.perf_counter() - began
        return Made(
            found, done.repaired, before, after if done.repaired else before, enhancer.name, enhancer.backend, took_s
        )

    def _scored(self, picture: Picture, method: str, notes: list[str]) -> Found:
        planes = picture.planes
        detector = self.models.detector(method)
        began = time.perf_counter()
        verdict = detector(planes[0], max_value=picture.max_value, chroma=planes[1:])
        took_ms = (time.perf_counter() - began) * 1000
        height, width = planes[0].shape
        return Found(verdict, method, took_ms, (width, height), notes)


def facts_of(found: Found) -> list[tuple[str, str]]:
    """The facts of a verdict panel."""
    return [
        ("Method", found.method),
        ("Time taken", f"{found.ms:.1f} ms"),
        ("Picture", f"{found.size[0]} × {found.size[1]} px"),
    ]


def table_of(all_found: list[Found]) -> str:
    """Every method's verdict, a row each."""
    rows = "".join(
        f"<tr><th scope='row'>{f.method}</th><td>{f.verdict.kind}</td><td>{f.verdict.score:.2f}</td>"
        f"<td>{blocks_of(f.verdict) or '–'}</td><td>{f.ms:.1f} ms</td></tr>"
        for f in all_found
    )
    head = "".join(f"<th scope='col'>{word}</th>" for word in ("Method", "Verdict", "Score", "Blocks", "Time"))
    return (
        "<div class='dc-scroll' tabindex='0' role='region' aria-label='All methods compared'>"
        f"<table class='dc-table'><caption>All methods on this picture</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
