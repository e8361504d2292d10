"""Trains the network of `models.quality` from photos, and measures it on photos that nothing was chosen by.

    python -m deepclarity.pipelines.training.quality --data DIR --out runs/quality [--folder weights]

Pictures are generated once and kept in --out. With --folder, the weights and their record are written there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from deepclarity.errors import DeepClarityError
from deepclarity.models.generator import Tensors
from deepclarity.models.quality.features import FEATURES, axis_features
from deepclarity.models.quality.network import CLASSES, NAME, QualityNetwork
from deepclarity.models.quality.periodicity import refine_factor
from deepclarity.models.train.quality import QualityArrays, QualityRecipe, train_quality
from deepclarity.models.verdict import Kind
from deepclarity.pipelines.datasets.photos import Split, find_source_images
from deepclarity.pipelines.datasets.quality_dataset import CODECS, QualityDataset, QualitySample

from .export import write_record
from .run import WEIGHTS

COUNTS = {Split.TRAIN: 10_000, Split.VALIDATION: 1_500, Split.TEST: 1_500}
_CHUNK = 50
_COARSE_QP, _FINE_QP = 40, 30
_WITHIN = 0.05
_FACTOR_RANGE, _MAX_SOFT_QP = (1.9, 4.1), 23

Truth = NDArray[np.float64]
"""Kind, quantiser, factors (x, y), codec, blur, estimated quantiser … of pictures; see `_row`."""


def generate(data: Path, split: Split, count: int, out: Path, *, processes: int) -> Mapping[str, NDArray[Any]]:
    """`features` (count, 2, FEATURES) and `truth` (count, 6) of generated pictures, kept in `out`."""
    path = out / f"{split}-{count}.npz"
    if not path.exists():
        chunks = [(data, split, first, min(count, first + _CHUNK)) for first in range(0, count, _CHUNK)]
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            parts = list(pool.map(_chunk, chunks))
        features, truth = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        out.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, features=features, truth=truth)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def _chunk(order: tuple[Path, Split, int, int]) -> tuple[NDArray[np.float32], Truth]:
    cv2.setNumThreads(1)
    data, split, first, last = order
    dataset = QualityDataset(find_source_images(data, split))
    samples = [dataset.at(index) for index in range(first, last)]
    features = [axis_features(sample.luma) for sample in samples]
    return np.array(features, np.float32).reshape(-1, 2, FEATURES), np.array([_row(sample) for sample in samples])


def _row(sample: QualitySample) -> list[float]:
    """Kind, quantiser, factors x and y, codec, blur."""
    kind, codec = CLASSES.index(sample.kind), CODECS.index(sample.codec)
    return [float(kind), sample.qp, *sample.factors, float(codec), sample.blur_px]


def arrays_of(made: Mapping[str, NDArray[Any]]) -> QualityArrays:
    """What training needs of generated pictures."""
    truth = made["truth"]
    factors = truth[:, 2:4].astype(np.float32)
    return QualityArrays(made["features"], truth[:, 0].astype(np.intp), truth[:, 1].astype(np.float32), factors)


def measure(tensors: Tensors, made: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Shares of right and wrong answers on generated pictures."""
    network, truth = QualityNetwork(tensors), made["truth"]
    answers = [network.classify(features) for features in made["features"]]
    kinds = np.array([CLASSES.index(network.kind_of([logits])) for logits, _, _ in answers])
    qp = np.array([value for _, value, _ in answers])
    blocky, soft = kinds == CLASSES.index(Kind.BLOCKY), kinds == CLASSES.index(Kind.SOFT)
    coarse, fine = truth[:, 1] >= _COARSE_QP, truth[:, 1] <= _FINE_QP
    enlarged = (truth[:, 0] == CLASSES.index(Kind.SOFT)) & (truth[:, 1] <= _MAX_SOFT_QP)
    enlarged &= (truth[:, 2] >= _FACTOR_RANGE[0]) & (truth[:, 2] <= _FACTOR_RANGE[1])
    natural = truth[:, 0] == CLASSES.index(Kind.CLEAN)
    by_codec = {
        codec: {
            "coarse found": _share(blocky[coarse & of_codec]),
            "fine called blocky": _share(blocky[fine & of_codec]),
        }
        for number, codec in enumerate(CODECS)
        if (of_codec := truth[:, 4] == number).any()
    }
    coded = truth[:, 1] > 0
    return {
        "pictures": len(truth),
        "blocky: QP of at least 40 found": _share(blocky[coarse]),
        "blocky: QP of at most 30 called so": _share(blocky[fine]),
        "rank correlation of the quantiser": round(_rank_correlation(qp[coded], truth[coded, 1]), 4),
        "soft: x2 to x4 up to CRF 23 found": _share(soft[enlarged]),
        "soft: others called so": _share(soft[natural]),
        "by codec": by_codec,
    }


def measure_factors(tensors: Tensors, data: Path, count: int) -> dict[str, Any]:
    """How often the native size of soft pictures of the test split is right, of those that are found."""
    network, dataset = QualityNetwork(tensors), QualityDataset(find_source_images(data, Split.TEST), seed=1)
    rough, fine = [], []
    for index in range(count):
        sample = dataset.at(index)
        if sample.kind is not Kind.SOFT or sample.qp > _MAX_SOFT_QP:
            continue
        if not _FACTOR_RANGE[0] <= sample.factors[0] <= _FACTOR_RANGE[1]:
            continue
        features = axis_features(sample.luma)
        assert features is not None
        logits, _, factors = network.classify(features)
        if network.kind_of([logits]) is not Kind.SOFT:
            continue
        refined = [
            refine_factor(plane, each) for plane, each in zip((sample.luma, sample.luma.T), factors, strict=True)
        ]
        rough.append(_is_within(factors, sample.factors))
        fine.append(_is_within(refined, sample.factors))
    return {"found": len(fine), "within 5 %": _share(np.array(fine)), "by the network alone": _share(np.array(rough))}


def _is_within(found: Any, true: tuple[float, float]) -> bool:
    return all(abs(one / other - 1) <= _WITHIN for one, other in zip(found, true, strict=True))


def _share(hits: NDArray[np.bool_]) -> str:
    """`93.1 % of 250`."""
    return f"{100 * float(hits.mean()):.1f} % of {hits.size}" if hits.size else "none"


def _rank_correlation(one: Truth, other: Truth) -> float:
    ranks = [each.argsort().argsort() for each in (one, other)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="photos")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    parser.add_argument("--folder", type=Path, help="a weights folder to write to")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0, help="share of the pictures and steps, for a quick trial")
    chosen = parser.parse_args(arguments)
    try:
        return _run(chosen)
    except DeepClarityError as error:
        sys.stderr.write(f"quality: {error}\n")
        return error.exit_code


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _run(chosen: argparse.Namespace) -> int:
    made = {
        split: generate(
            chosen.data, split, max(_CHUNK, int(count * chosen.share)), chosen.out, processes=chosen.processes
        )
        for split, count in COUNTS.items()
    }
    recipe = replace(QualityRecipe(), steps=max(1, int(QualityRecipe().steps * chosen.share)))
    tensors = train_quality(arrays_of(made[Split.TRAIN]), arrays_of(made[Split.VALIDATION]), recipe, say=_say)
    content = safetensors.numpy.save(tensors)
    (chosen.out / WEIGHTS).write_bytes(content)
    report = measure(tensors, made[Split.TEST])
    report["soft: native size"] = measure_factors(tensors, chosen.data, int(1000 * chosen.share))
    text = json.dumps(report, indent=1)
    (chosen.out / "report.json").write_text(text + "\n")
    sys.stdout.write(f"{text}\n")
    if chosen.folder:
        described = {
            "kind": "detector",
            "family": NAME,
            "architecture": {"features": FEATURES},
            "parameters": sum(tensor.size for tensor in tensors.values()),
            "trained_on": f"{COUNTS[Split.TRAIN]:,} generated pictures of 425 photos (CC BY-SA, CC BY, CC0, Unsplash, "
            "Pexels licences)",
            "measured": "see MODEL_CARD_DETECTORS.md",
            "note": "not a detector by itself: says of pictures without blocks whether they are blocky or soft",
        }
        write_record(chosen.folder, NAME, content, described)
    return 0


if __name__ == "__main__":
    sys.exit(main())
