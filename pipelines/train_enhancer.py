"""Training an enhancer from a folder of photos: degrade, step, validate, keep."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from deepclarity.errors import DeviceError, OutputError, SourceError
from deepclarity.models.generator import Tensors
from deepclarity.models.train.enhancer import Losses, Run, export
from deepclarity.models.train.measure import Task, enlarger, interpolation, mean_psnr, middle
from deepclarity.models.train.pairs import Pair, Stock
from deepclarity.models.train.recipe import Recipe, read_recipe
from deepclarity.models.weights import load_weights, read_tensors

from .degrade import Photo, PhotoStock, pixelated_pair, read_photo, reduce_bicubic, split_photos
from .plot import Series, plot

Say = Callable[[str], None]

CHECKPOINT, WEIGHTS, LOG, PLOT = "checkpoint.pt", "weights.safetensors", "log.jsonl", "progress.png"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained, from what, and where the results go."""

    config: Path
    data: Path
    """A folder of photos."""
    out: Path
    start: Path | None = None
    """Weights to begin with, instead of the recipe's own."""
    features: Path | None = None
    """Folder with the features of VGG16 for a perceptual loss."""
    device: str = "auto"
    resume: bool = False


def train_enhancer(order: Order, *, say: Say) -> Path:
    """Train to the recipe's last step; the path of the weights. Every `checkpoint_s` what there is is kept."""
    recipe = read_recipe(order.config)
    torch.set_num_threads(recipe.threads)
    device = _device(order.device)
    run = Run(recipe, start=_start(order, recipe), features=order.features, device=device)
    if order.resume:
        run.load(order.out / CHECKPOINT)
    elif (order.out / CHECKPOINT).exists():
        raise OutputError(f"{order.out}: holds a run already. Add --resume to go on with it, or choose another --out.")
    training, apart = split_photos(order.data, recipe.validation_photos)
    say(f"{recipe.net.parameters:,} parameters on {device}; reading {len(training)} photos")
    validation = validation_tasks([read_photo(path) for path in apart], recipe)
    for task in validation:
        cubic, lanczos = (mean_psnr(interpolation(m), task) for m in (cv2.INTER_CUBIC, cv2.INTER_LANCZOS4))
        say(f"{task.name} x{task.scale}: bicubic {cubic:.3f} dB, lanczos {lanczos:.3f} dB")
    stock = PhotoStock([read_photo(path) for path in training], recipe)
    try:
        order.out.mkdir(parents=True, exist_ok=True)
        _Journal(order.out, validation, say).keep(run, stock)
    except OSError as error:
        raise OutputError(f"{order.out}: cannot be written ({error})") from error
    return order.out / WEIGHTS


def validation_tasks(photos: Sequence[Photo], recipe: Recipe) -> list[Task]:
    """What the recipe is about, on photos that it is not trained on, at its largest scale."""
    scale, rng, tasks = recipe.scales[-1], np.random.default_rng(recipe.seed), []
    if recipe.pixelated_share < 1:
        pairs = [middle(Pair(reduce_bicubic(photo[0], scale), photo[0])) for photo in photos]
        tasks.append(Task("bicubic", scale, pairs))
    if recipe.pixelated_share > 0:
        pairs = [middle(pixelated_pair(photo, scale=scale, recipe=recipe, rng=rng)) for photo in photos]
        tasks.append(Task("pixelated", scale, pairs))
    return tasks


class _Journal:
    """Steps, and from time to time a checkpoint, a validation, an export, a line in the log and a picture of it."""

    def __init__(self, out: Path, validation: Sequence[Task], say: Say) -> None:
        self._out, self._validation, self._say = out, validation, say

    def keep(self, run: Run, stock: Stock) -> None:
        recipe, chapter, shelf = run.recipe, -1, {}
        kept_s, losses = time.monotonic(), list[Losses]()
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
        run.save(self._out / CHECKPOINT)
        tensors = run.averaged()
        export(tensors, self._out / WEIGHTS)
        entry: dict[str, float] = {"step": run.step, "steps_per_s": round(len(losses) / took_s, 2)}
        means = {key: float(np.mean([asdict(loss)[key] for loss in losses])) for key in asdict(losses[0])}
        entry |= {key: round(value, 6) for key, value in means.items() if np.isfinite(value)}
        entry |= self._scores(run, tensors)
        with (self._out / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")
        plot(self._series(), self._out / PLOT, title=f"{run.recipe.family}, step {run.step} of {run.recipe.steps}")
        left_s = (run.recipe.steps - run.step) * took_s / len(losses)
        self._say("  ".join(f"{key} {value}" for key, value in entry.items()) + f"  left {left_s / 60:.0f} min")

    def _scores(self, run: Run, tensors: Tensors) -> Mapping[str, float]:
        enlarge = enlarger(run.recipe.net, tensors)
        return {f"{task.name}_db": round(mean_psnr(enlarge, task), 3) for task in self._validation}

    def _series(self) -> list[Series]:
        entries = [json.loads(line) for line in (self._out / LOG).read_text(encoding="utf-8").splitlines()]
        names = [key for key in entries[-1] if key not in ("step", "steps_per_s")]
        return [Series(name, [(e["step"], e[name]) for e in entries if name in e]) for name in names]


def _device(wish: str) -> str:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if wish == "auto":
        return "cuda" if count else "cpu"
    if wish not in known:
        raise DeviceError(f"no device '{wish}' to train on; torch {torch.__version__} knows {', '.join(known)}")
    return wish


def _start(order: Order, recipe: Recipe) -> Tensors | None:
    """Weights to begin with; tails of scales that they lack begin at zero."""
    if order.start is not None:
        tensors = read_tensors(order.start)
    elif recipe.start_from:
        _, tensors = load_weights(recipe.start_from)
    else:
        return None
    wanted = recipe.net.shapes()
    missing = {name: shape for name, shape in wanted.items() if name not in tensors and name.startswith("tail")}
    for name in wanted.keys() - tensors.keys() - missing.keys():
        raise SourceError(f"{order.start or recipe.start_from}: has no '{name}': weights of another architecture")
    tensors = {name: value for name, value in tensors.items() if name in wanted}
    return tensors | {name: np.zeros(shape, np.float32) for name, shape in missing.items()}
