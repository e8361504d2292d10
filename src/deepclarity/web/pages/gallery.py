"""The gallery of several pictures, and what each of them shows when it is opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from deepclarity.pipelines.report.explain import MIN_SIDE_PX
from deepclarity.stream.files.still import write_picture
from deepclarity.web.errors import RefusedError
from deepclarity.web.inference import Inference
from deepclarity.web.messages import error_message, note_card, refusal_card
from deepclarity.web.security.content_check import open_picture
from deepclarity.web.several.collection import ITEMS_FILE, Collection, Item
from deepclarity.web.storage.disk_quota import check_result_space

from .viewer import Layer, copy_link, viewer

ARCHIVE_NAME = "deepclarity.zip"


def gallery(collection: Collection, *, link: str = "") -> str:
    """All pictures as HTML, those that are not done yet as empty places. `link`: URL path, once all are saved."""
    base = f"/results/{collection.token}"
    tiles = "".join(_tile(item, f"{base}/{number}", base) for number, item in enumerate(collection.items))
    actions = ""
    if link:
        download = f"<a class='dc-download' href='{base}/{ARCHIVE_NAME}' download>Download all (ZIP)</a>"
        actions = f"<div class='dc-toolbar'>{download if _usable(collection) else ''}{copy_link(link)}</div>"
    failed = [item for item in collection.items if item.error]
    problems = "".join(f"<li><b>{escape(item.name)}</b> {escape(item.error)}</li>" for item in failed)
    problem_list = f"<div role='alert'><ul class='dc-problems'>{problems}</ul></div>" if link and failed else ""
    return (
        f"<section class='dc-gallery'><p class='dc-status' role='status'>{escape(_status(collection))}</p>"
        f"{problem_list}{actions}<ul class='dc-tiles'>{tiles}</ul><div class='dc-opened' tabindex='-1'></div></section>"
    )


async def with_link(
    steps: AsyncGenerator[Collection, None], inference: Inference
) -> AsyncGenerator[tuple[Collection, str], None]:
    """The pictures as they are done, each time with the link: empty until all are done, and saved under it."""
    async for collection in steps:
        if not (collection.folder / ITEMS_FILE).is_file():
            yield collection, ""
            continue
        link = inference.store.link(collection.folder / ITEMS_FILE)
        inference.store.save_page(collection.folder / ITEMS_FILE, gallery(collection, link=link))
        yield collection, link


def _usable(collection: Collection) -> bool:
    return collection.task == "correct" and any(not item.error for item in collection.items)


def _status(collection: Collection) -> str:
    count, items = len(collection.items), collection.items
    if not collection.complete:
        return f"{collection.done} of {count} pictures are done."
    failed = sum(bool(item.error) for item in items)
    problems = f" {failed} could not be used." if failed else ""
    if collection.task == "detect":
        found = sum(bool(item.values.get("pixelated")) for item in items)
        return f"{found} of {count} pictures {'is' if found == 1 else 'are'} pixelated.{problems}"
    repaired = sum(item.repaired for item in items)
    left = count - repaired - failed
    stays = "stays as it is" if left == 1 else "stay as they are"
    others = f" {left} had nothing to repair and {stays}." if left else ""
    return f"{repaired} of {count} pictures {'was' if repaired == 1 else 'were'} repaired.{others}{problems}"


def _tile(item: Item, url: str, base: str) -> str:
    name = f"<span class='dc-name'>{escape(item.name)}</span>"
    if not item.done:
        return f"<li class='dc-tile dc-waiting'><i></i>{name}<small>Waiting</small></li>"
    if item.error:
        return f"<li class='dc-tile dc-failed'><i>!</i>{name}<small>Not usable</small></li>"
    label = "Repaired" if item.repaired else item.title
    tone = "dc-done" if item.repaired else f"dc-is-{item.tone}"
    return (
        f"<li class='dc-tile'><a href='{url}'><img src='{base}/{quote(item.thumbnail)}' alt='' loading='lazy'>"
        f"{name}<small class='{tone}'>{escape(label)}</small></a></li>"
    )


@dataclass(frozen=True, slots=True)
class GalleryPages:
    """Draws what one of several pictures shows when it is opened; large pictures are written only then."""

    inference: Inference

    def opened(self, folder: Path, number: int) -> tuple[str, str] | None:
        """(title, HTML) of a picture of the gallery in `folder`; None if there is none of this number."""
        collection = Collection.load(folder)
        if collection is None or not 0 <= number < len(collection.items):
            return None
        item = collection.items[number]
        try:
            return item.name, self._view(collection, item, number)
        except Exception as error:  # every failure gets a message
            return item.name, refusal_card(error_message(error))

    def _view(self, collection: Collection, item: Item, number: int) -> str:
        if item.error:
            raise RefusedError(item.error)
        heading = f"<h3 class='dc-opened-name'>{escape(item.name)}</h3>"
        if collection.task == "detect":
            return heading + note_card(item.sentence) + self._evidence(collection, item, number)
        before = Layer(self._url(collection, self._written(collection, item, number, "before.png")), "Input")
        if not item.repaired:
            text = f"{item.sentence} Nothing was changed."
            picture = f"<img src='{escape(before.url)}' alt='The picture, unchanged'>"
            return f"{heading}{note_card(text)}<figure class='dc-evidence'>{picture}</figure>"
        after = Layer(self._url(collection, collection.folder / item.result), "Output", item.result)
        block = item.values.get("block_px")
        blocks = f", in blocks of {block:.4g} px" if isinstance(block, float) else ""
        status = f"{item.title}{blocks}, and repaired. {item.size[0]} × {item.size[1]} px, {collection.choice}."
        return heading + viewer(before, after, size=item.size, status=status)

    def _evidence(self, collection: Collection, item: Item, number: int) -> str:
        if min(item.size) < MIN_SIDE_PX:
            return note_card("The picture is too small to show evidence.")
        url = escape(self._url(collection, self._written(collection, item, number, "evidence.png")))
        alt = "The picture, the detected blocks, and the gradient profiles folded at the block size"
        return (
            "<figure class='dc-evidence'><figcaption>Evidence for the verdict</figcaption>"
            f"<a href='{url}' target='_blank' rel='noopener'><img src='{url}' alt='{alt}'></a></figure>"
        )

    def _written(self, collection: Collection, item: Item, number: int, kind: str) -> Path:
        """A picture that is needed only to look at one of several, written when it is first asked for."""
        path = collection.folder / f"{number}.{kind}"
        if path.is_file():
            return path
        inference = self.inference
        picture, _ = open_picture(collection.folder / item.original, inference.limits)
        check_result_space(inference.limits, inference.store, 2 * picture.pixels.nbytes)
        with inference.store.hold(collection.folder / ITEMS_FILE), inference.models.drawing:
            if not path.is_file():
                if kind == "evidence.png":
                    picture = inference.draw_evidence(picture, collection.choice, item.name)
                write_picture(path, picture)
                inference.store.same_age(path, collection.folder / ITEMS_FILE)
        return path

    def _url(self, collection: Collection, path: Path) -> str:
        return self.inference.store.url(path)
