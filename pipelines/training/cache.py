"""Cache of preprocessed training samples: generated once, in shards on disk."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import OutputError, SourceError, StageError
from deepclarity.models.train.detector.learner import Arrays, Learner, load_learner
from deepclarity.models.train.detector.run import PreprocessedDataset
from deepclarity.models.verdict import Kind
from deepclarity.pipelines.datasets.detector_dataset import DetectorDataset, Protocol
from deepclarity.pipelines.datasets.photos import Split, find_source_images

from .run import Say

_SHARD = 64
_REPORT_EVERY = 8


@dataclass(frozen=True, slots=True)
class Wanted:
    """The pictures to generate, and the method they are preprocessed for."""

    method: str
    data: Path
    split: Split
    protocol: Protocol
    seed: int
    count: int


@dataclass(frozen=True, slots=True)
class _Shard:
    wanted: Wanted
    first: int
    count: int
    path: Path


@dataclass(frozen=True, slots=True)
class _Labels:
    """A picture's labels as stored in a shard."""

    kind: Kind
    cell: Mapping[str, str]


def samples(
    wanted: Sequence[Wanted], folder: Path, learner: Learner, *, processes: int, say: Say
) -> PreprocessedDataset:
    """The inputs of `learner` for all `wanted` pictures; missing ones are generated and stored in `folder`.

    Shard names contain method, seed, a digest of the photos, and `Learner.preprocess_version`, which must be raised
    whenever `preprocess` changes.
    """
    parts = [_seen(each, folder, learner, processes=processes, say=say) for each in wanted]
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
    return PreprocessedDataset(arrays, np.concatenate([part.labels for part in parts]))


def fingerprint(wanted: Sequence[Wanted]) -> str:
    """File name that identifies the photos, seed, count and method of these pictures."""
    return " ".join(f"{each.split}-{each.protocol}-{_digest(each)}x{each.count}" for each in wanted)


def _seen(wanted: Wanted, folder: Path, learner: Learner, *, processes: int, say: Say) -> PreprocessedDataset:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}). Choose another --out.") from error
    stem = f"{wanted.split}-{wanted.protocol}-{_digest(wanted)}"
    shards = [
        _Shard(wanted, i, min(_SHARD, wanted.count - i), folder / f"{stem}-{i:06}.npz")
        for i in range(0, wanted.count, _SHARD)
    ]
    kept = {shard: _read(shard) for shard in shards}
    missing = [shard for shard, content in kept.items() if content is None]
    for number, _ in enumerate(_made(missing, processes)):
        if number % _REPORT_EVERY == 0:
            done = wanted.count - sum(shard.count for shard in missing[number + 1 :])
            say(f"{wanted.split} pictures of protocol {wanted.protocol}: {done} of {wanted.count}")
    kept |= {shard: _read(shard) for shard in missing}
    if torn := next((shard for shard, content in kept.items() if content is None), None):
        raise OutputError(f"{torn.path}: cannot be read back. Check the disk, remove the file and run again.")
    found = [content for content in kept.values() if content is not None]
    reported = [truth for truths, _ in found for truth in truths]
    arrays = {name: np.concatenate([each[name] for _, each in found]) for name in found[0][1]}
    return PreprocessedDataset(arrays, np.array([learner.label(truth) for truth in reported], np.intp))


def _made(shards: Sequence[_Shard], processes: int) -> Iterator[None]:
    """Generate every shard, in this many processes."""
    count = min(len(shards), processes or _cores())
    if count > 1:
        pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_die_quietly)
        try:
            yield from pool.map(_make, shards)
        except BrokenProcessPool as error:
            raise StageError(
                "a process that generates pictures died, perhaps for lack of memory; lower --threads"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
        return
    for shard in shards:
        _make(shard)
        yield
    _pictures.cache_clear()  # they hold photos


def _die_quietly() -> None:
    """Let Ctrl-C end a worker at once: its incomplete shard is generated again."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _cores() -> int:
    """Number of CPU cores available to this process."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _make(shard: _Shard) -> None:
    pictures, learner = _pictures(shard.wanted), load_learner(shard.wanted.method)
    made = [pictures.at(index) for index in range(shard.first, shard.first + shard.count)]
    seen = [learner.preprocess(each.planes) for each in made]
    arrays = {name: np.stack([each[name] for each in seen]) for name in seen[0]}
    truth = [json.dumps({"kind": each.kind, "cell": dict(each.cell)}) for each in made]
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, truth_=np.array(truth), **arrays)
    atomic_write(shard.path, content.getvalue())


@lru_cache(maxsize=1)
def _pictures(wanted: Wanted) -> DetectorDataset:
    source_images = find_source_images(wanted.data, wanted.split)
    return DetectorDataset(source_images, protocol=wanted.protocol, seed=wanted.seed)


def _read(shard: _Shard) -> tuple[list[_Labels], Arrays] | None:
    """The labels and arrays of a shard; None if it is missing, damaged or too short."""
    count = shard.count
    try:
        with np.load(io.BytesIO(shard.path.read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name][:count] for name in file.files}
        lines = [json.loads(line) for line in arrays.pop("truth_").tolist()]
        reported = [_Labels(Kind(line["kind"]), line["cell"]) for line in lines]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    complete = all(len(each) == count for each in (reported, *arrays.values()))
    return (reported, arrays) if complete else None


def _digest(wanted: Wanted) -> str:
    """Digest of everything that determines the pictures: method, seed and folder."""
    source_images = find_source_images(wanted.data, wanted.split)
    if not source_images.photos:
        raise SourceError(f"{wanted.data}: no photos for {wanted.split} in it; add more")
    names = [[path.name, path.stat().st_size] for path in (*source_images.photos, *source_images.clips)]
    learner = load_learner(wanted.method)
    reported = [wanted.method, dict(learner.architecture), learner.preprocess_version, wanted.seed, names]
    return hashlib.sha256(json.dumps(reported).encode()).hexdigest()[:8]
