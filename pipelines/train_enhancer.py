"""Training an enhancer from a folder of photos: degrade, step, validate, keep."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import torch

from deepclarity.errors import DeviceError, OutputError, SourceError, StageError, UsageError, did_you_mean
from deepclarity.models.generator import Tensors, check_finite
from deepclarity.models.train.enhancer import Losses, Run, export
from deepclarity.models.train.measure import Task, enlarger, interpolation, mean_psnr, middle
from deepclarity.models.train.pairs import Pair, Stock
from deepclarity.models.train.recipe import Recipe, parse_recipe
from deepclarity.models.weights import load_weights, read_tensors
from deepclarity.whole import write_whole

from .bicubic import reduce_bicubic
from .degrade import Photo, PhotoStock, large_enough, pixelated_pair, read_photo, split_photos
from .plot import Series, plot

Say = Callable[[str], None]

CHECKPOINT, WEIGHTS, LOG, PLOT, RECIPE = (
    "checkpoint.pt",
    "weights.safetensors",
    "log.jsonl",
    "progress.png",
    "recipe.toml",
)
LOCK = "running.lock"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained, from what, and where the results go."""

    config: str
    """A recipe: the path of a TOML file, or the name of one that ships, `turbo`, `srgan`, …"""
    data: Path
    """A folder of photos."""
    out: Path
    start: Path | None = None
    """Weights to begin with, instead of the recipe's own."""
    features: Path | None = None
    """Folder with the features of VGG16 for a perceptual loss."""
    device: str = "auto"
    threads: int = 0
    """CPU threads; 0: as many as torch thinks best."""
    resume: bool = False


def train_enhancer(order: Order, *, say: Say) -> Path:
    """Train to the recipe's last step; the path of the weights. Every `checkpoint_s` what there is is kept."""
    text = recipe_text(order.config)
    recipe = parse_recipe(text, where=order.config)
    if order.threads:
        torch.set_num_threads(order.threads)
    device = _device(order.device)
    run = Run(recipe, start=_start(order, recipe), features=order.features, device=device)
    if order.resume:
        run.load(order.out / CHECKPOINT)
    elif (order.out / CHECKPOINT).exists():
        raise OutputError(f"{order.out}: holds a run already. Add --resume to go on with it, or choose another --out.")
    training, apart = split_photos(order.data, recipe.validation_photos)
    journal = _Journal(order.out, say)
    with journal.begun(text, anew=not order.resume):
        say(f"{recipe.net.parameters:,} parameters on {device}; reading {len(training)} photos")
        journal.validation = validation_tasks([read_photo(path) for path in apart], recipe)
        for task in journal.validation:
            cubic, lanczos = (mean_psnr(interpolation(m), task) for m in (cv2.INTER_CUBIC, cv2.INTER_LANCZOS4))
            say(f"{task.name} x{task.scale}: bicubic {cubic:.3f} dB, lanczos {lanczos:.3f} dB")
        journal.keep(run, PhotoStock([read_photo(path) for path in training], recipe))
    return order.out / WEIGHTS


def recipe_text(config: str) -> str:
    """The text of a recipe by the path of its file or by the name of weights that ship; `UsageError` without one."""
    shipped = {
        item.name.removeprefix("train-").removesuffix(".toml"): item
        for item in resources.files("deepclarity.configs").iterdir()
        if item.name.startswith("train-") and item.name.endswith(".toml")
    }
    if not config.endswith(".toml") and config not in shipped:
        raise UsageError(f"--config {config}: no such recipe; {did_you_mean(config, shipped)}")
    try:
        return (shipped.get(config) or Path(config)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {config}: not a readable recipe ({error})") from error


def validation_tasks(photos: Sequence[Photo], recipe: Recipe) -> list[Task]:
    """What the recipe is about, on photos that it is not trained on, at its largest scale."""
    scale, rng, tasks = recipe.scales[-1], np.random.default_rng(recipe.seed), []
    photos = large_enough(photos, recipe)
    if recipe.pixelated_share < 1:
        pairs = [middle(Pair(reduce_bicubic(photo[0], scale), photo[0])) for photo in photos]
        tasks.append(Task("bicubic", scale, pairs))
    if recipe.pixelated_share > 0:
        pairs = [middle(pixelated_pair(photo, scale=scale, recipe=recipe, rng=rng)) for photo in photos]
        tasks.append(Task("pixelated", scale, pairs))
    return tasks


class _Journal:
    """Steps, and from time to time a checkpoint, a validation, an export, a line in the log and a picture of it."""

    def __init__(self, out: Path, say: Say) -> None:
        self._out, self._say = out, say
        self.validation: Sequence[Task] = ()

    @contextlib.contextmanager
    def begun(self, recipe: str, *, anew: bool) -> Iterator[None]:
        """The folder is ours, and the recipe lies beside what it makes; OutputError where another run has it."""
        try:
            self._out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{self._out}: cannot be made ({error.strerror}). Choose another --out.") from error
        with _locked(self._out / LOCK):
            write_whole(self._out / RECIPE, recipe.encode())
            if anew:
                (self._out / LOG).unlink(missing_ok=True)
            yield

    def keep(self, run: Run, stock: Stock) -> None:
        """Train to the last step."""
        recipe, chapter, shelf = run.recipe, -1, {}
        kept_s, losses = time.monotonic(), list[Losses]()
        if run.step == recipe.steps:  # stopped between its last checkpoint and its weights
            export(run.averaged(), self._out / WEIGHTS)
        while run.step < recipe.steps:
            if chapter != run.step // recipe.renew_steps:
                chapter = run.step // recipe.renew_steps
                shelf = dict(stock.shelf(chapter))
            losses.append(run.advance(shelf))
            finished = run.step == recipe.steps
            if finished or time.monotonic() - kept_s > recipe.checkpoint_s:
                self._enter(run, losses, time.monotonic() - kept_s)
                kept_s, losses = time.monotonic(), []

    def _enter(self, run: Run, losses: Sequence[Losses], took_s: float) -> None:
        tensors, means = run.averaged(), _means(losses)
        if not all(map(math.isfinite, means.values())) or not all(np.isfinite(t).all() for t in tensors.values()):
            raise StageError(
                f"{self._out}: the training diverged before step {run.step}; what was kept before is untouched. "
                f"Go on from there with --resume, or begin again with lower learning rates."
            )
        entry: dict[str, float] = {"step": run.step, "steps_per_s": round(len(losses) / took_s, 2)}
        entry |= {key: round(value, 6) for key, value in means.items()} | self._scores(run, tensors)
        entries = [*self._entries(before=run.step), entry]
        title = f"{run.recipe.family}, step {run.step} of {run.recipe.steps}"
        export(tensors, self._out / WEIGHTS)
        write_whole(self._out / LOG, "".join(json.dumps(line) + "\n" for line in entries).encode())
        plot(_series(entries), self._out / PLOT, title=title)
        run.save(self._out / CHECKPOINT)
        left_s = (run.recipe.steps - run.step) * took_s / len(losses)
        self._say("  ".join(f"{key} {value}" for key, value in entry.items()) + f"  left {left_s / 60:.0f} min")

    def _scores(self, run: Run, tensors: Tensors) -> dict[str, float]:
        enlarge = enlarger(run.recipe.net, tensors)
        return {f"{task.name}_db": round(mean_psnr(enlarge, task), 3) for task in self.validation}

    def _entries(self, *, before: int) -> list[dict[str, float]]:
        """What the log holds of the steps `before`; a line that cannot be read is left out."""
        entries = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self._out / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    entry = json.loads(line)
                    if entry["step"] < before:
                        entries.append(entry)
        return entries


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold `path` for this process; OutputError while another holds it. Windows goes without."""
    try:
        with path.open("a") as handle:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    path.unlink()
    except BlockingIOError as error:
        raise OutputError(f"{path.parent}: another run is writing there. Choose another --out.") from error


def _series(entries: Sequence[dict[str, float]]) -> list[Series]:
    names = [key for key in entries[-1] if key not in ("step", "steps_per_s")]
    return [Series(name, [(e["step"], e[name]) for e in entries if name in e]) for name in names]


def _means(losses: Sequence[Losses]) -> dict[str, float]:
    """Each loss's mean: the one place where the device is waited for."""
    return {name: float(torch.stack([loss[name] for loss in losses]).mean()) for name in losses[0]}


def _device(wish: str) -> str:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if wish == "auto":
        return "cuda" if count else "cpu"
    if wish not in known:
        raise DeviceError(f"no device '{wish}' to train on; torch {torch.__version__} knows {', '.join(known)}")
    return wish


def _start(order: Order, recipe: Recipe) -> Tensors | None:
    """Weights to begin with: all of the recipe's network, but for tails; those that are missing begin at zero."""
    if order.start is not None:
        where, tensors = str(order.start), read_tensors(order.start)
    elif recipe.start_from:
        where, (_, tensors) = recipe.start_from, load_weights(recipe.start_from)
    else:
        return None
    wanted = recipe.net.shapes()
    odd = [name for name in wanted.keys() ^ tensors.keys() if not name.startswith("tail")]
    odd += [name for name in wanted.keys() & tensors.keys() if tensors[name].shape != wanted[name]]
    if odd:
        raise SourceError(f"{where}: weights of another architecture than the recipe's, first at '{min(odd)}'")
    check_finite(tensors, name=where)
    blank = {name: np.zeros(shape, np.float32) for name, shape in wanted.items()}
    return blank | {name: value for name, value in tensors.items() if name in wanted}
