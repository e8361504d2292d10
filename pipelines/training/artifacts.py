"""Trains an artifact reducer from photos and measures it on photos that nothing was chosen by.

    python -m deepclarity.pipelines.training.artifacts turbo-artifacts --data DIR --out runs/turbo-artifacts \\
        [--folder weights]

Pairs are generated once and kept in --out's parent folder. With --folder, the weights and their record are written
there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import DeepClarityError
from deepclarity.models.artifacts.architecture import FOLD, ReducerNet, scaled_quantiser
from deepclarity.models.artifacts.torch import ReducerNetwork
from deepclarity.models.generator import Tensors
from deepclarity.models.train.artifacts import ArtifactArrays, ReducerRecipe, folded, train_reducer
from deepclarity.models.weights import read_tensors
from deepclarity.pipelines.datasets.artifact_dataset import ArtifactDataset
from deepclarity.pipelines.datasets.photos import Split, find_source_images

from .export import write_record
from .run import WEIGHTS

RECIPES = {
    "turbo-artifacts": ReducerRecipe(ReducerNet(channels=16, layers=6), steps=40_000),
    "srgan-artifacts": ReducerRecipe(ReducerNet(channels=32, layers=8), steps=40_000),
}
COUNTS = {Split.TRAIN: 7_000, Split.TEST: 700}
_CHUNK = 50
_QP_STEP = 5

Say = Callable[[str], None]


def generate(data: Path, split: Split, count: int, out: Path, *, processes: int) -> dict[str, NDArray[Any]]:
    """Pairs as arrays, kept in `out`."""
    path = out / f"pairs-{split}-{count}.npz"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        chunks = [(data, split, first, min(count, first + _CHUNK)) for first in range(0, count, _CHUNK)]
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_chunk, chunks))
        joined: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        np.savez(path, **joined)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _chunk(order: tuple[Path, Split, int, int]) -> dict[str, NDArray[Any]]:
    cv2.setNumThreads(1)
    data, split, first, last = order
    dataset = ArtifactDataset(find_source_images(data, split))
    pairs = [dataset.at(index) for index in range(first, last)]
    arrays: dict[str, NDArray[Any]] = {
        "qp": np.array([pair.qp for pair in pairs], np.float32),
        "trusted": np.array([pair.trusted for pair in pairs]),
        "codec": np.array([pair.codec for pair in pairs]),
    }
    for number in range(3):
        arrays[f"clean{number}"] = np.stack([pair.clean[number] for pair in pairs])
        arrays[f"coded{number}"] = np.stack([pair.coded[number] for pair in pairs])
    return arrays


def arrays_of(made: dict[str, NDArray[Any]]) -> ArtifactArrays:
    """What training needs of generated pairs."""
    clean, coded = ((made[f"{name}0"], made[f"{name}1"], made[f"{name}2"]) for name in ("clean", "coded"))
    return ArtifactArrays(clean, coded, made["qp"], made["trusted"])


def measure(net: ReducerNet, tensors: Tensors, made: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Mean gain in dB over the coded picture by codec and quantiser: luma, luma unknown, chroma; and the worst."""
    network, data = ReducerNetwork(net, tensors).eval(), arrays_of(made)
    rows: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for index in range(len(data.qp)):
        if not data.trusted[index]:
            continue
        gains = _gains(network, data, index)
        qp = int(data.qp[index] // _QP_STEP * _QP_STEP)
        rows[f"{made['codec'][index]} {qp}"].append(gains)
    clean = [_clean_loss(network, data, index) for index in range(0, len(data.qp), 10)]
    table = {
        key: {
            "pairs": len(values),
            "luma": round(float(np.mean([each[0] for each in values])), 3),
            "luma, quantiser unknown": round(float(np.mean([each[1] for each in values])), 3),
            "chroma": round(float(np.mean([each[2] for each in values])), 3),
            "worst luma": round(float(min(each[0] for each in values)), 3),
        }
        for key, values in sorted(rows.items())
    }
    return {"gain in dB": table, "clean picture, PSNR of luma after": round(float(np.mean(clean)), 2)}


def _run_network(
    network: ReducerNetwork, planes: list[NDArray[np.uint8]], qp: float, *, known: bool
) -> list[NDArray[np.float32]]:
    samples = folded(*(torch.from_numpy(plane[None]) for plane in planes))
    given = torch.zeros(1, 2, *samples.shape[2:])
    given[:, 0], given[:, 1] = float(scaled_quantiser(qp)) if known else 0.0, float(known)
    with torch.inference_mode():
        result = (samples + network(torch.cat([samples, given], 1)) + 0.5) * 255
    luma = torch.nn.functional.pixel_shuffle(result[:, :4], FOLD)[0, 0]
    return [np.clip(np.rint(plane.numpy()), 0, 255) for plane in (luma, result[0, 4], result[0, 5])]


def _gains(network: ReducerNetwork, data: ArtifactArrays, index: int) -> tuple[float, float, float]:
    coded, clean = ([plane[index] for plane in planes] for planes in (data.coded, data.clean))
    known = _run_network(network, coded, float(data.qp[index]), known=True)
    unknown = _run_network(network, coded, 0.0, known=False)
    luma = _gain(clean[:1], coded[:1], known[:1])
    return luma, _gain(clean[:1], coded[:1], unknown[:1]), _gain(clean[1:], coded[1:], known[1:])


def _gain(clean: list[Any], before: list[Any], after: list[Any]) -> float:
    errors = [
        sum(float(((one.astype(np.float32) - other) ** 2).mean()) for one, other in zip(clean, each, strict=True))
        for each in (before, after)
    ]
    return float(10 * np.log10((errors[0] + 1e-3) / (errors[1] + 1e-3)))


def _clean_loss(network: ReducerNetwork, data: ArtifactArrays, index: int) -> float:
    clean = [plane[index] for plane in data.clean]
    after = _run_network(network, clean, 20.0, known=True)[0]
    return float(10 * np.log10(255**2 / (((clean[0] - after) ** 2).mean() + 1e-3)))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--data", type=Path, required=True, help="photos")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folder", type=Path, help="a weights folder to write to")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch's choice")
    parser.add_argument("--start", type=Path, help="initial weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--share", type=float, default=1.0, help="share of the pairs, for a quick trial")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except DeepClarityError as error:
        sys.stderr.write(f"artifacts: {error}\n")
        return error.exit_code


def _run(chosen: argparse.Namespace) -> int:
    recipe = RECIPES[chosen.name]
    recipe = replace(recipe, steps=chosen.steps or recipe.steps, seed=chosen.seed)
    start = read_tensors(chosen.start) if chosen.start else None
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    made = {
        split: generate(
            chosen.data, split, max(_CHUNK, int(count * chosen.share)), chosen.out.parent, processes=chosen.processes
        )
        for split, count in COUNTS.items()
    }
    chosen.out.mkdir(parents=True, exist_ok=True)

    def save(tensors: Tensors) -> None:
        atomic_write(chosen.out / WEIGHTS, safetensors.numpy.save(tensors))

    tensors = train_reducer(arrays_of(made[Split.TRAIN]), recipe, say=_say, save=save, start=start)
    save(tensors)
    text = json.dumps(measure(recipe.net, tensors, made[Split.TEST]), indent=1)
    (chosen.out / "report.json").write_text(text + "\n")
    sys.stdout.write(f"{text}\n")
    if chosen.folder:
        described = {
            "kind": "reducer",
            "family": "artifacts",
            "architecture": {"channels": recipe.net.channels, "layers": recipe.net.layers},
            "parameters": sum(tensor.size for tensor in tensors.values()),
            "scales": (1,),
            "trained_on": f"{COUNTS[Split.TRAIN]:,} generated pairs of 425 photos and 9 clips (CC BY-SA, CC BY, CC0, "
            "Unsplash, Pexels licences)",
            "measured": "see MODEL_CARD.md",
            "note": "macroblocks, at the picture's own size",
        }
        write_record(chosen.folder, chosen.name, safetensors.numpy.save(tensors), described)
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
