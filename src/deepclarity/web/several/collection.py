"""Several pictures at once: each is examined or repaired, and one that cannot be used does not stop the others."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deepclarity.models.detectors import DEFAULT_DETECTOR
from deepclarity.stream.files.still import Picture, write_picture
from deepclarity.web.errors import RefusedError
from deepclarity.web.inference import Inference
from deepclarity.web.jobs import wait_for_thread
from deepclarity.web.limits import MEBI
from deepclarity.web.messages import describe_verdict, error_message, message_for
from deepclarity.web.security.content_check import check_picture, open_picture
from deepclarity.web.storage.archive import safe_name, unique_names
from deepclarity.web.storage.disk_quota import check_result_space

from .thumbnails import draw_thumbnail

ITEMS_FILE = ".items.json"
_WORKERS = 2
_LARGE_PX = 8_000_000
"""Pictures of more pixels are processed one at a time, so that memory stays bounded."""
_PROGRESS_INTERVAL_S = 0.25


@dataclass(slots=True)
class Item:
    """One of several pictures."""

    name: str
    """The name of the upload, made safe for every system and unique."""
    original: str = ""
    """The upload's file in the result's folder."""
    thumbnail: str = ""
    target: str = ""
    """What `result` is called if there is one."""
    result: str = ""
    """The repaired picture's file in the result's folder; empty if the picture was left as it is."""
    error: str = ""
    """Why the picture could not be used, in one sentence; empty if it could."""
    sentence: str = ""
    """The verdict in one or two sentences."""
    title: str = ""
    tone: str = "note"
    values: dict[str, object] = field(default_factory=dict)
    """The keys of `deepclarity detect --json`."""
    size: tuple[int, int] = (0, 0)
    """(width, height) in pixels."""
    done: bool = False

    @property
    def repaired(self) -> bool:
        """Whether there is a repaired picture."""
        return bool(self.result)

    def as_json(self) -> dict[str, object]:
        """The record for programs: `name`, `repaired`, `sentence` and `error`, and the verdict's keys."""
        record = {"name": self.name, "repaired": self.repaired, "sentence": self.sentence, "error": self.error}
        return {**record, **self.values}


@dataclass(slots=True)
class Collection:
    """Several pictures, and the folder of their results."""

    folder: Path
    task: str
    """`correct` or `detect`."""
    choice: str
    """The tier, or the detection method."""
    items: list[Item]

    @property
    def token(self) -> str:
        """The part of the address that cannot be guessed."""
        return self.folder.name

    @property
    def done(self) -> int:
        """Pictures that are done or refused."""
        return sum(item.done for item in self.items)

    @property
    def complete(self) -> bool:
        """Whether all are."""
        return self.done == len(self.items)

    def save(self) -> None:
        """Save the list of items in the folder."""
        content = {"task": self.task, "choice": self.choice, "items": [asdict(item) for item in self.items]}
        (self.folder / ITEMS_FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Collection | None:
        """The pictures of a result's folder; None if it holds something else, or is gone."""
        try:
            content = json.loads((folder / ITEMS_FILE).read_text("utf-8"))
        except OSError:
            return None
        items = [Item(**{**item, "size": tuple(item["size"])}) for item in content["items"]]
        return cls(folder, content["task"], content["choice"], items)


class CollectionCancelledError(Exception):
    """The work on several pictures was cancelled by its user."""


class Collections:
    """Works on several pictures at once. Its methods run on the server's event loop."""

    def __init__(self, inference: Inference) -> None:
        self._inference, self._store, self._limits = inference, inference.store, inference.limits
        self._running: dict[str, threading.Event] = {}
        self._large = threading.Lock()

    def cancel(self, session: str) -> None:
        """Cancel the work of a session, if there is any."""
        if session in self._running:
            self._running[session].set()

    def cancel_all(self) -> None:
        """Cancel all work when the server shuts down."""
        for stop in self._running.values():
            stop.set()

    async def run(
        self, payloads: object, *, task: str, choice: object, force: bool = False, session: str
    ) -> AsyncGenerator[Collection, None]:
        """Yield the pictures as they are done; at last, all of them, when they are saved.

        `choice`: the tier for `correct`, the method for `detect`. RefusedError if there are none, too many, or too
        many bytes; CollectionCancelledError after `cancel`. Closing the generator cancels, too.
        """
        if session in self._running:
            raise RefusedError("Your pictures are being processed. Wait for them, or cancel.")
        stop = self._running[session] = threading.Event()
        collection: Collection | None = None
        work: asyncio.Task[None] | None = None
        finished = False
        try:
            collection = await asyncio.to_thread(self._prepare, payloads, task, choice)
            work = asyncio.ensure_future(asyncio.to_thread(self._work, collection, stop, force=force))
            shown = -1
            while not work.done():
                if collection.done != shown:
                    shown = collection.done
                    yield collection
                await asyncio.wait([work], timeout=_PROGRESS_INTERVAL_S)
            work.result()
            if stop.is_set():
                raise CollectionCancelledError
            await asyncio.to_thread(collection.save)
            finished = True
            yield collection
        finally:
            stop.set()
            if work is not None:
                await wait_for_thread(work)
            del self._running[session]
            if collection is not None and not finished:
                await asyncio.to_thread(shutil.rmtree, collection.folder, ignore_errors=True)

    def _prepare(self, payloads: object, task: str, choice: object) -> Collection:
        """Check how many there are, and give each a name and a place."""
        if not isinstance(payloads, list) or not payloads:
            raise RefusedError("Choose some pictures first.")
        if len(payloads) > self._limits.several_pictures:
            raise RefusedError(f"These are {len(payloads)} pictures: at most {self._limits.several_pictures} at once.")
        if task == "correct":
            self._inference.models.tiers.model_of(choice)
        else:
            choice = self._inference.models.detector(choice).name
        given = [each if isinstance(each, dict) else {} for each in payloads]
        names = [safe_name(each.get("orig_name") or each.get("path")) for each in given]
        items = [Item(name) for name in unique_names(names)]
        for item, target in zip(
            items, unique_names(f"{Path(item.name).stem}.clear.png" for item in items), strict=True
        ):
            item.target = target
        sources = [self._source(item, payload) for item, payload in zip(items, payloads, strict=True)]
        total = sum(source.stat().st_size for source in sources if source)
        if total > self._limits.several_bytes:
            limit = f"at most {self._limits.several_bytes // MEBI} MB at once"
            raise RefusedError(f"These pictures have {total / MEBI:.0f} MB together: {limit}.")
        folder = self._store.new_folder()
        pixels = 0
        for number, (item, source) in enumerate(zip(items, sources, strict=True)):
            if source is None:
                continue
            try:
                header = check_picture(source, self._limits)
                pixels += header.width_px * header.height_px
                if pixels > self._limits.several_px:
                    limit = f"{self._limits.several_px / 1e6:.0f} megapixels"
                    raise RefusedError(f"Left out: the pictures together have more than {limit}. Send fewer at once.")
                item.original = f".{number}.original"
                _link(source, folder / item.original)
            except Exception as error:  # every failure gets a message
                item.error, item.done = error_message(error), True
        return Collection(folder, task, str(choice), items)

    def _source(self, item: Item, payload: object) -> Path | None:
        try:
            return self._store.uploaded(payload)
        except RefusedError as error:
            item.error, item.done = str(error), True
            return None

    def _work(self, collection: Collection, stop: threading.Event, *, force: bool) -> None:
        def process(number: int) -> None:
            item = collection.items[number]
            if item.done or stop.is_set():
                return
            try:
                self._process(collection, number, force=force)
            except Exception as error:  # every failure gets a message, and the others go on
                item.error = error_message(error)
            item.done = True

        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="several") as pool:
            list(pool.map(process, range(len(collection.items))))

    def _process(self, collection: Collection, number: int, *, force: bool) -> None:
        item, folder = collection.items[number], collection.folder
        header = check_picture(folder / item.original, self._limits)
        if header.width_px * header.height_px > _LARGE_PX:
            with self._large:
                self._examine(collection, item, number, force=force)
        else:
            self._examine(collection, item, number, force=force)

    def _examine(self, collection: Collection, item: Item, number: int, *, force: bool) -> None:
        """Examine one picture, repair it if that is the task, and draw its thumbnail."""
        inference, folder = self._inference, collection.folder
        picture, notes = open_picture(folder / item.original, self._limits)
        method = DEFAULT_DETECTOR if collection.task == "correct" else collection.choice
        detection = inference.examine(picture, method, notes)
        message = message_for(detection.verdict.kind)
        after: Picture | None = None
        result = ""
        if collection.task == "correct":
            repaired = inference.repair(picture, detection, collection.choice, force=force)
            if repaired.done:
                check_result_space(self._limits, self._store, picture.pixels.nbytes)
                after, result = repaired.picture, item.target
                write_picture(folder / result, after)
        item.thumbnail = f"{number}.thumb.jpg"
        write_picture(folder / item.thumbnail, draw_thumbnail(picture, after))
        item.title, item.tone, item.size = message.title, message.tone, detection.size
        item.values, item.sentence = detection.as_json(), describe_verdict(detection.verdict)
        item.result = result


def result_files(collection: Collection) -> Sequence[tuple[str, Path]]:
    """(name, path) of what a download of all holds: repaired pictures, and the others as they were sent."""
    files = []
    for item in collection.items:
        if item.repaired:
            files.append((item.result, collection.folder / item.result))
        elif item.original and not item.error:
            files.append((item.name, collection.folder / item.original))
    return [(name, path) for name, (_, path) in zip(unique_names(name for name, _ in files), files, strict=True)]


def _link(source: Path, target: Path) -> None:
    """Give a file a second name, so that it outlives its first; a copy where that is impossible."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
