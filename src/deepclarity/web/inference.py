"""Detection, explanation and repair of one uploaded picture, used by the pages and the API."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deepclarity.models.artifacts.reducer import load_reducer
from deepclarity.models.detectors import DEFAULT_DETECTOR, DETECTORS
from deepclarity.models.verdict import Kind, Region, Verdict
from deepclarity.pipelines.correct import correct_planes, needs_repair
from deepclarity.pipelines.detect import detect_picture
from deepclarity.pipelines.report.explain import MIN_SIDE_PX, explain_picture
from deepclarity.pipelines.route import Routing
from deepclarity.stream.files.still import Picture, write_picture

from .errors import RefusedError
from .limits import Limits
from .messages import format_block_size
from .model_cache import ModelCache
from .security.content_check import open_picture
from .storage.disk_quota import check_result_space
from .storage.results import ResultStore, download_name


@dataclass(frozen=True, slots=True)
class Detection:
    """The verdict on an uploaded picture."""

    verdict: Verdict
    method: str
    ms: float
    size: tuple[int, int]
    """(width, height) in pixels."""
    notes: list[str]
    """Messages about the picture for the user."""
    regions: list[Region] = field(default_factory=list)
    """Where the blocks are, largest first."""

    def as_json(self) -> dict[str, object]:
        """The keys of `deepclarity detect --json`."""
        blocks = self.verdict.blocks if self.verdict.pixelated else None
        return {
            "pixelated": self.verdict.pixelated,
            "kind": str(self.verdict.kind),
            "score": round(self.verdict.score, 4),
            "block_px": round(blocks.width_px, 4) if blocks else None,
            "block_height_px": round(blocks.height_px, 4) if blocks else None,
            "method": self.method,
            "ms": round(self.ms, 3),
            "severity": self.verdict.severity,
            "regions": [asdict(region) for region in self.regions],
            "native_size": self.verdict.native_size(self.size),
        }


@dataclass(frozen=True, slots=True)
class Correction:
    """The result of repairing an uploaded picture."""

    detection: Detection
    repaired: bool
    before: Path
    """The original picture as a PNG, at the same size as `after`."""
    after: Path
    """The repaired picture as a PNG; the same file as `before` if nothing was repaired."""
    tier: str
    backend: str
    elapsed_s: float
    second: Comparison | None = None
    """The result of another tier, if one was asked for."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a second tier."""

    after: Path
    tier: str


@dataclass(frozen=True, slots=True)
class Repaired:
    """A picture after the repair by one tier."""

    picture: Picture
    """The same picture if it was left as it is."""
    done: bool
    tier: str
    backend: str


@dataclass(frozen=True, slots=True)
class Inference:
    """Runs detectors and enhancers on uploaded pictures.

    A payload is a Gradio `FileData` dictionary. All methods raise RefusedError for files, methods and tiers that
    cannot be used.
    """

    limits: Limits
    store: ResultStore
    models: ModelCache

    def detect(self, payload: object, method: object = DEFAULT_DETECTOR) -> Detection:
        """Detect whether an uploaded picture is pixelated."""
        detector = self.models.detector(method)
        picture, notes = open_picture(self.store.uploaded(payload), self.limits)
        return self.examine(picture, detector.name, notes)

    def compare(self, payload: object) -> list[Detection]:
        """Run every detection method on an uploaded picture."""
        picture, notes = open_picture(self.store.uploaded(payload), self.limits)
        for method in DETECTORS:  # warm up, so that the times below are comparable
            self.examine(picture, method, notes)
        return [self.examine(picture, method, notes) for method in DETECTORS]

    def explain(self, payload: object, method: object = DEFAULT_DETECTOR) -> Path | None:
        """Draw the evidence for the verdict as a PNG; None if the picture is too small."""
        picture, notes = open_picture(self.store.uploaded(payload), self.limits)
        detection = self.examine(picture, self.models.detector(method).name, notes)
        if min(detection.size) < MIN_SIDE_PX:
            return None
        target = self.store.new_path("evidence.png")
        check_result_space(self.limits, self.store, picture.pixels.nbytes)
        write_picture(target, explain_picture(picture, detection.verdict, title=Path(download_name(payload, "")).name))
        return target

    def draw_evidence(self, picture: Picture, method: object, title: str) -> Picture:
        """The evidence for the verdict on a picture."""
        detection = self.examine(picture, self.models.detector(method).name, [])
        return explain_picture(picture, detection.verdict, title=title)

    def correct(
        self, payload: object, tier: object = "srgan", *, force: bool = False, other: object = None
    ) -> Correction:
        """Repair an uploaded picture at its own size if it is pixelated, or in any case with `force`.

        `other`: a second tier for comparison; None or empty: none.
        """
        start = time.perf_counter()
        path = self.store.uploaded(payload)
        for name in (tier, other or tier):
            self.models.tiers.model_of(name)  # an unknown tier is refused before any work is done
        picture, notes = open_picture(path, self.limits)
        detection = self.examine(picture, DEFAULT_DETECTOR, notes)
        files = 3 if other else 2
        check_result_space(self.limits, self.store, files * picture.pixels.nbytes)
        repaired = self.repair(picture, detection, tier, force=force)
        compared = self.repair(picture, detection, other, force=force) if other and repaired.done else None
        after = self.store.new_path(download_name(payload, ".clear.png"))
        before = after.with_name("before.png")
        write_picture(before, picture)
        if repaired.done:
            write_picture(after, repaired.picture)
        second = None
        if compared is not None and compared.done:
            second = Comparison(after.with_name(download_name(payload, ".compared.png")), compared.tier)
            write_picture(second.after, compared.picture)
        elapsed_s = time.perf_counter() - start
        return Correction(
            detection,
            repaired.done,
            before,
            after if repaired.done else before,
            repaired.tier,
            repaired.backend,
            elapsed_s,
            second,
        )

    def repair(self, picture: Picture, detection: Detection, tier: object, *, force: bool = False) -> Repaired:
        """Repair a picture according to a verdict on it; one at a time, as an enhancer serves one thread."""
        verdict, size = detection.verdict, detection.size
        if force and not verdict.pixelated and size[0] * size[1] > self.limits.forced_px:
            limit = f"at most {self.limits.forced_px / 1e6:.0f} megapixels are allowed"
            raise RefusedError(f"This picture is not pixelated, and too large to be repaired anyway: {limit}.")
        with self.models.exclusive:
            enhancer = self.models.enhancer(tier)
            reducer = load_reducer(enhancer.name) if verdict.kind is Kind.BLOCKY else None
            planes = None
            if force or needs_repair(verdict, Routing().repair, reducer):
                planes = correct_planes(
                    picture.planes, verdict, enhancer=enhancer, size=size, max_value=picture.max_value,
                    subsampling=(1, 1), force=bool(force), reducer=reducer,
                )  # fmt: skip
            done = planes is not None
            return Repaired(
                picture if planes is None else picture.with_planes(planes, before=picture.planes),
                done,
                enhancer.name,
                enhancer.backend,
            )

    def examine(self, picture: Picture, method: str, notes: list[str]) -> Detection:
        """The verdict on a picture. `notes`: messages about it, which are passed on."""
        planes = picture.planes
        detector = self.models.detector(method)
        start = time.perf_counter()
        verdict, found = detect_picture(planes[0], detector, max_value=picture.max_value, chroma=planes[1:])
        elapsed_ms = (time.perf_counter() - start) * 1000
        height, width = planes[0].shape
        regions = found.regions() if found else []
        return Detection(verdict, method, elapsed_ms, (width, height), notes, regions)


def detection_facts(detection: Detection) -> list[tuple[str, str]]:
    """The facts (term, value) of a verdict card."""
    return [
        ("Method", detection.method),
        ("Time taken", f"{detection.ms:.1f} ms"),
        ("Picture", f"{detection.size[0]} × {detection.size[1]} px"),
    ]


def comparison_table(detections: list[Detection]) -> str:
    """An HTML table with one row for each detection."""
    rows = "".join(
        f"<tr><th scope='row'>{item.method}</th><td>{item.verdict.kind}</td><td>{item.verdict.score:.2f}</td>"
        f"<td>{format_block_size(item.verdict) or '–'}</td><td>{item.ms:.1f} ms</td></tr>"
        for item in detections
    )
    head = "".join(f"<th scope='col'>{title}</th>" for title in ("Method", "Verdict", "Score", "Blocks", "Time"))
    return (
        "<div class='dc-scroll' tabindex='0' role='region' aria-label='All methods compared'>"
        f"<table class='dc-table'><caption>All methods on this picture</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )
