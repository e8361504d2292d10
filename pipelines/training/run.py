"""Training run: output folder, checkpoints, log, plot and lock."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import DeviceError, OutputError, StageError, UsageError, did_you_mean
from deepclarity.models.generator import Tensors
from deepclarity.models.train.enhancer.run import export
from deepclarity.pipelines.report.plots import Series, plot_curves

Say = Callable[[str], None]

CHECKPOINT, WEIGHTS, LOG, PLOT, RECIPE = (
    "checkpoint.pt",
    "weights.safetensors",
    "log.jsonl",
    "progress.png",
    "recipe.toml",
)
LOCK = "running.lock"


class Training(Protocol):
    """Protocol of a training run."""

    title: str
    steps: int
    checkpoint_s: float

    @property
    def step(self) -> int:
        """Steps taken."""
        ...

    def advance(self) -> Mapping[str, Tensor]:
        """Perform one step; returns its losses, scalars that may still be computed asynchronously."""
        ...

    def weigh(self) -> tuple[Tensors, dict[str, float]]:
        """The weights to export now, and their validation scores."""
        ...

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""
        ...


class TrainingRun:
    """Runs the steps, with periodic checkpoints, validation, export, log lines and a plot."""

    def __init__(self, out: Path, say: Say) -> None:
        self._out, self._say = out, say

    @contextlib.contextmanager
    def begun(self, recipe: str, *, anew: bool) -> Iterator[None]:
        """Lock the output folder and store the recipe in it; OutputError if another run uses it."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self._out}: cannot be created ({error.strerror}). Choose another --out.") from error
        with _locked(self._out / LOCK):
            atomic_write(self._out / RECIPE, recipe.encode())
            if anew:
                (self._out / LOG).unlink(missing_ok=True)
            yield

    def keep(self, run: Training) -> None:
        """Train to the last step."""
        kept_s, losses = time.monotonic(), list[Mapping[str, Tensor]]()
        if run.step == run.steps:  # stopped between the last checkpoint and the export
            export(run.weigh()[0], self._out / WEIGHTS)
        while run.step < run.steps:
            losses.append(run.advance())
            if run.step == run.steps or time.monotonic() - kept_s > run.checkpoint_s:
                self._enter(run, losses, time.monotonic() - kept_s)
                kept_s, losses = time.monotonic(), []

    def _enter(self, run: Training, losses: Sequence[Mapping[str, Tensor]], took_s: float) -> None:
        means, (tensors, scores) = _means(losses), run.weigh()
        if not all(map(math.isfinite, means.values())) or not all(np.isfinite(t).all() for t in tensors.values()):
            raise StageError(
                f"{self._out}: the training diverged before step {run.step}; earlier checkpoints are unchanged. "
                f"Continue from there with --resume, or start again with lower learning rates."
            )
        entry: dict[str, float] = {"step": run.step, "steps_per_s": round(len(losses) / took_s, 2)}
        entry |= {key: round(value, 6) for key, value in means.items()} | scores
        entries = [*self._entries(before=run.step), entry]
        export(tensors, self._out / WEIGHTS)
        atomic_write(self._out / LOG, "".join(json.dumps(line) + "\n" for line in entries).encode())
        plot_curves(_series(entries), self._out / PLOT, title=f"{run.title}, step {run.step} of {run.steps}")
        run.save(self._out / CHECKPOINT)
        left_s = (run.steps - run.step) * took_s / len(losses)
        self._say("  ".join(f"{key} {value}" for key, value in entry.items()) + f"  left {left_s / 60:.0f} min")

    def _entries(self, *, before: int) -> list[dict[str, float]]:
        """The log's entries for the steps before `before`; unreadable lines are skipped."""
        entries = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self._out / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    entry = json.loads(line)
                    if entry["step"] < before:
                        entries.append(entry)
        return entries


def recipe_text(config: str, *, of_detector: bool = False) -> str:
    """The text of a recipe, by file path or by the name of shipped weights; raises UsageError if there is none."""
    folder = resources.files("deepclarity.configs") / "training" / ("detector" if of_detector else "enhancer")
    shipped = {item.name.removesuffix(".toml"): item for item in folder.iterdir() if item.name.endswith(".toml")}
    if not config.endswith(".toml") and config not in shipped:
        raise UsageError(f"--config {config}: no such recipe; {did_you_mean(config, shipped)}")
    try:
        return (shipped.get(config) or Path(config)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {config}: not a readable recipe ({error})") from error


def training_device(wish: str) -> str:
    """The device called `wish`, `auto` being the first GPU if there is one; DeviceError if torch has no such device."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if wish == "auto":
        return "cuda" if count else "cpu"
    if wish not in known:
        raise DeviceError(f"no device '{wish}' to train on; torch {torch.__version__} knows {', '.join(known)}")
    return wish


def check_begun(out: Path, *, resume: bool) -> None:
    """Raise OutputError if a new run would overwrite another."""
    if not resume and (out / CHECKPOINT).exists():
        raise OutputError(f"{out}: already contains a run. Add --resume to continue it, or choose another --out.")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock `path` for this process; OutputError while another holds the lock. Not on Windows."""
    try:
        lock = path.open("a")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}). Choose another --out.") from error
    with lock as handle:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OutputError(f"{path.parent}: another run is writing there. Choose another --out.") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()


def _series(entries: Sequence[dict[str, float]]) -> list[Series]:
    names = [key for key in entries[-1] if key not in ("step", "steps_per_s")]
    return [Series(name, [(e["step"], e[name]) for e in entries if name in e]) for name in names]


def _means(losses: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    """The mean of each loss: the only place that waits for the device."""
    return {name: float(torch.stack([loss[name] for loss in losses]).mean()) for name in losses[0]}
