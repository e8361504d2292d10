"""Trains an enhancer: `python -m deepclarity.models.train.enhancer --config R.toml --data DIR --out DIR`."""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from deepclarity.errors import DeepClarityError, OutputError, SourceError
from deepclarity.models.backends.torch_network import TurboNetwork, network_from, tensors_of
from deepclarity.models.generator import untrained

from .degrade import Bytes
from .measure import Task, interpolation, mean_psnr, tasks
from .pairs import Pairs, cut_pairs, read_luma, split_photos
from .recipe import Recipe, read_recipe

Report = Callable[[str], None]

_CHECKPOINT = "checkpoint.pt"
_CHARBONNIER = 1e-3


class Run:
    """One training run: network, optimiser, moving average and step; all that a checkpoint holds.

    Everything random is drawn from the seed and the step number: a resumed run repeats an unbroken one.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.step = 0
        self.network = network_from(recipe.net, untrained(recipe.net, seed=recipe.seed), name="new")
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {key: value.detach().clone() for key, value in self.network.state_dict().items()}
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99))

    def advance(self, pairs: Mapping[int, Pairs]) -> float:
        """Take one step on a batch of `pairs`; returns its loss."""
        rng = np.random.default_rng([self.recipe.seed, self.step])
        scale = int(rng.choice(self.recipe.scales, p=np.array(self.recipe.scale_shares)))
        small, large = (_floats(side) for side in pairs[scale].batch(self.recipe.batch, rng))
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            found = self.network(small, scale)
        # Charbonnier et al. 1994: an L1 that is smooth at zero.
        loss: Tensor = (found.float() - large).square().add(_CHARBONNIER**2).sqrt().mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self._follow()
        self.step += 1
        return loss.item()

    def averaged(self) -> TurboNetwork:
        """A copy of the network with the moving average of its weights."""
        network = TurboNetwork(self.recipe.net)
        network.load_state_dict(self.average)
        return network.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint that `save` wrote for the same recipe."""
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.average, self.step = state["average"], state["step"]
        except (OSError, RuntimeError, KeyError, ValueError, EOFError) as error:
            raise SourceError(f"{path}: not a checkpoint of this recipe ({error})") from error

    def _learning_rate(self) -> float:
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / max(1, recipe.warmup_steps))
        return recipe.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * self.step / recipe.steps))

    def _follow(self) -> None:
        # Early on the average must not cling to the random start.
        decay = min(self.recipe.ema_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                self.average[key].lerp_(value, 1 - decay)


def train(run: Run, pairs: Mapping[int, Pairs], validation: list[Task], *, out: Path, report: Report) -> None:
    """Train to the recipe's last step; checkpoint, validate and export every `checkpoint_s` seconds."""
    saved_s, losses = time.monotonic(), []
    while run.step < run.recipe.steps:
        losses.append(run.advance(pairs))
        finished = run.step == run.recipe.steps
        if finished or time.monotonic() - saved_s > run.recipe.checkpoint_s:
            pace = len(losses) / (time.monotonic() - saved_s)
            run.save(out / _CHECKPOINT)
            export(run, out / "weights.safetensors")
            scores = "  ".join(f"{task.name} x{task.scale} {_score(run, task):.3f}" for task in validation)
            report(f"step {run.step}  loss {np.mean(losses):.5f}  {pace:.1f} steps/s  {scores}")
            saved_s, losses = time.monotonic(), []


def export(run: Run, path: Path) -> None:
    """Write the averaged weights as safetensors."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(safetensors.numpy.save(tensors_of(run.averaged())))
    partial.replace(path)


def enlarge_with(network: TurboNetwork, small: Bytes, scale: int) -> Bytes:
    """uint8 (h, w) in, uint8 (h * scale, w * scale) out."""
    with torch.inference_mode():
        large = network(_floats(small[None, None]), scale)[0, 0]
        levels: Bytes = (large * 255 + 0.5).clamp_(0, 255).to(torch.uint8).numpy()
        return levels


def main(arguments: list[str] | None = None) -> int:
    """Train as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="deepclarity.models.train.enhancer", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the recipe, a TOML file")
    parser.add_argument("--data", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--out", type=Path, required=True, help="where checkpoints and weights go")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    options = parser.parse_args(arguments)
    try:
        _train_as_told(options.config, options.data, options.out, resume=options.resume)
    except DeepClarityError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _train_as_told(config: Path, data: Path, out: Path, *, resume: bool) -> None:
    recipe = read_recipe(config)
    torch.set_num_threads(recipe.threads)
    training, apart = split_photos(data, recipe.validation_photos)
    pairs = cut_pairs([read_luma(path) for path in training], recipe)
    validation = tasks([read_luma(path) for path in apart], scale=recipe.scales[-1], jpeg_quality=50)
    run = Run(recipe)
    if resume:
        run.load(out / _CHECKPOINT)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for task in validation:
            cubic, lanczos = (mean_psnr(interpolation(m), task) for m in (cv2.INTER_CUBIC, cv2.INTER_LANCZOS4))
            _say(f"{task.name} x{task.scale}: bicubic {cubic:.3f} dB, lanczos {lanczos:.3f} dB")
        train(run, pairs, validation, out=out, report=_say)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error})") from error


def _score(run: Run, task: Task) -> float:
    network = run.averaged()
    return mean_psnr(lambda small, scale: enlarge_with(network, small, scale), task)


def _floats(pictures: Bytes) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
