"""`evaluate enhancer`: finds the test data, runs the protocols, returns the rows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from deepclarity.errors import SourceError, UsageError, did_you_mean
from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
from deepclarity.models.enhancer import Enhancer
from deepclarity.models.load import available_models, check_enhancer, load_enhancer
from deepclarity.models.metrics import Lpips
from deepclarity.pipelines.detect_file import VIDEOS
from deepclarity.pipelines.report.contact_sheet import MAX_COLUMNS, contact_sheet
from deepclarity.stream.files.still import IMAGE_SUFFIXES, Picture, write_picture

from .harm import harm
from .pictures import SCALE, PictureSet, pictures, sheet_rows, standard
from .scores import MEASURES, Notify, Row, means, missed
from .video import video

LPIPS_FILE = "lpips_alexnet_fp32.npz"
BASELINE = "lanczos"
"""The baseline tier; always included."""

_log = logging.getLogger(__name__)


class Protocol(StrEnum):
    """Evaluation protocols."""

    STANDARD = "standard"
    """PSNR-Y, SSIM-Y and LPIPS at ×4 from bicubic inputs, as the literature has it."""
    PICTURES = "pictures"
    """Pixelated pictures through `correct`."""
    VIDEO = "video"
    """Pixelated and coded clips through `restore`."""
    HARM = "harm"
    """Clips damaged in every way through detect, route and enhance: whether anything gets worse."""


@dataclass(frozen=True, slots=True)
class Job:
    """An evaluation job: enhancers, data and options."""

    data: Path
    """Folder that is searched for data."""
    tiers: tuple[str, ...] = ()
    """Names of the enhancers; empty: all."""
    protocols: tuple[Protocol, ...] = (Protocol.STANDARD,)
    frames: int = 12
    """Frames per clip."""
    clips: tuple[str, ...] = ()
    """Substrings of the names of the clips to use; empty: all."""
    lpips: Path | None = None
    """Weights for LPIPS; None: searched for."""
    device: str = "auto"
    sheet: Path | None = None
    """Path of a contact sheet; None: none."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of an evaluation."""

    rows: list[Row]
    backends: dict[str, str]
    """Tier → back end."""

    def of(self, protocol: str) -> list[Row]:
        """The rows of one protocol."""
        return [row for row in self.rows if row.protocol == protocol]

    def as_json(self) -> dict[str, Any]:
        """Everything as JSON values: means by protocol, measure, group and method, and every row."""
        found: dict[str, Any] = {}
        for protocol in dict.fromkeys(row.protocol for row in self.rows):
            rows = self.of(protocol)
            found[protocol] = {measure: table for measure in MEASURES if (table := means(rows, measure))}
            if blind := missed(rows):
                found[protocol]["missed"] = {group: list(counts) for group, counts in blind.items()}
        return {"backends": self.backends, "means": found, "rows": [asdict(row) for row in self.rows]}


def evaluate(job: Job, *, notify: Notify) -> Evaluation:
    """Run every protocol of `job`; raises UsageError or SourceError for unusable options or data."""
    names = _tier_names(job.tiers)
    if not job.data.is_dir():
        raise SourceError(f"{job.data}: no such folder. Name one with test sets or clips below it.")
    needs_sets = job.sheet or set(job.protocols) & {Protocol.STANDARD, Protocol.PICTURES}
    sets = find_sets(job.data) if needs_sets else []
    needs_clips = set(job.protocols) & {Protocol.VIDEO, Protocol.HARM}
    clips = find_clips(job.data, job.clips) if needs_clips else []
    with ExitStack() as stack:
        loaded = [stack.enter_context(closing(load_enhancer(name, device=job.device))) for name in names]
        tiers = list(
            {tier.name: tier for tier in loaded}.values()
        )  # `auto` may resolve to a tier that was named as well
        lpips = _lpips(job)
        if job.sheet:
            _write_sheet(job.sheet, sets, [tier for tier in tiers if tier.name in job.tiers] or tiers)
        runs: dict[Protocol, Callable[[], Iterator[Row]]] = {
            Protocol.STANDARD: lambda: standard(sets, tiers, lpips=lpips, notify=notify),
            Protocol.PICTURES: lambda: pictures(
                sets, tiers, detector=load_detector("grid"), lpips=lpips, notify=notify
            ),
            Protocol.VIDEO: lambda: video(clips, tiers, frames=job.frames, lpips=lpips, notify=notify),
            Protocol.HARM: lambda: harm(
                clips, tiers, detector=load_detector(DEFAULT_DETECTOR), frames=job.frames, notify=notify
            ),
        }
        rows = [row for protocol in job.protocols for row in runs[protocol]()]
        return Evaluation(rows, {tier.name: tier.backend for tier in tiers})


def find_sets(data: Path) -> list[PictureSet]:
    """The folders at or below `data` that contain `hr/` and `lr_x4/`, small sets first; SourceError if none does."""
    folders = sorted(path.parent for path in data.rglob("hr") if path.is_dir() and path.with_name("lr_x4").is_dir())
    sets = sorted(map(_picture_set, folders), key=lambda found: len(found.pairs))
    if not sets:
        raise SourceError(f"{data}: no test set below it, a folder with hr/ and lr_x4/. Name another folder.")
    names = [found.name for found in sets]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SourceError(f"{data}: two test sets below it are called '{twice}'. Rename one, or name one of the two.")
    return sets


def _picture_set(folder: Path) -> PictureSet:
    large, small = (_by_stem(folder / side) for side in ("hr", "lr_x4"))
    if alone := sorted(large.keys() ^ small.keys()):
        side = "hr" if alone[0] in large else "lr_x4"
        raise SourceError(f"{folder}: '{alone[0]}' is in {side}/ only. Pictures pair by name: add its partner.")
    if not large:
        raise SourceError(f"{folder}: no pictures in hr/ and lr_x4/. Fill them, or remove the folder.")
    return PictureSet(folder.resolve().name, tuple((large[stem], small[stem]) for stem in sorted(large)))


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES):
        if path.stem in found:
            raise SourceError(f"{path}: there is {found[path.stem].name} too. Pictures pair by name: rename one.")
        found[path.stem] = path
    return found


def find_clips(data: Path, wanted: Sequence[str] = ()) -> list[Path]:
    """The videos directly in a folder `clips` at or below `data` whose names contain one of `wanted`."""
    folders = [
        folder
        for folder in (data, *sorted(data.rglob("clips")))
        if folder.resolve().name == "clips" and folder.is_dir()
    ]
    clips = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix.lower() in VIDEOS]
    if not clips:
        raise SourceError(f"{data}: no folder 'clips' with videos below it. Add one, or choose another --protocol.")
    for part in wanted:
        if not any(part in path.name for path in clips):
            raise UsageError(f"--clips {part}: no such clip; {did_you_mean(part, [path.stem for path in clips])}")
    return [path for path in clips if not wanted or any(part in path.name for part in wanted)]


def _tier_names(named: Sequence[str]) -> list[str]:
    """The baseline first, then each tier once."""
    for name in named:
        check_enhancer(name)
    everything = [model.name for model in available_models() if model.kind == "enhancer"]
    return list(dict.fromkeys([BASELINE, *(named or everything)]))


def _lpips(job: Job) -> Lpips | None:
    path = job.lpips or next(iter(sorted(job.data.rglob(LPIPS_FILE))), None)
    if path is None:
        _log.warning("LPIPS is not measured: no %s below %s; name one with --lpips", LPIPS_FILE, job.data)
        return None
    return Lpips(path, device=job.device if job.device.startswith("cuda") else "cpu")


def _write_sheet(target: Path, sets: Sequence[PictureSet], tiers: Sequence[Enhancer]) -> None:
    """Write a contact sheet of Set5 if present, else of the smallest set."""
    chosen = next((found for found in sets if found.name.lower() == "set5"), sets[0])
    pairs = chosen.pairs[:MAX_COLUMNS]
    sheet = contact_sheet(sheet_rows(pairs, tiers), [large.stem for large, _ in pairs], align_px=SCALE)
    write_picture(target, Picture(np.ascontiguousarray(sheet[..., ::-1])))
