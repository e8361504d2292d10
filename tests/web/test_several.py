"""Several pictures at once: one that cannot be used is named, and the others are done."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepclarity.stream.files.still import read_picture
from deepclarity.web.errors import RefusedError
from deepclarity.web.inference import Inference
from deepclarity.web.limits import Limits
from deepclarity.web.model_cache import ModelCache
from deepclarity.web.pages.gallery import GalleryPages, gallery, with_link
from deepclarity.web.several.collection import (
    Collection,
    CollectionCancelledError,
    Collections,
    result_files,
)
from deepclarity.web.storage.archive import safe_name, unique_names, zip_stream
from deepclarity.web.storage.results import ResultStore
from tests.web.conftest import SampleFiles

LIMITS = Limits()


def collections(tmp_path: Path, limits: Limits = LIMITS) -> Collections:
    store = ResultStore(tmp_path / "store", retention_s=1800)
    return Collections(Inference(limits, store, ModelCache(device="cpu")))


def uploaded(tmp_path: Path, name: str, content: bytes) -> dict[str, Any]:
    """A file in the store, as Gradio saves an upload."""
    folder = tmp_path / "store" / f"hash-{len(list((tmp_path / 'store').iterdir()))}"
    folder.mkdir()
    (folder / "upload.bin").write_bytes(content)
    return {"path": str(folder / "upload.bin"), "orig_name": name}


def run(work: Collections, payloads: object, *, task: str = "correct", choice: str = "lanczos") -> Collection:
    async def last() -> Collection:
        found: Collection | None = None
        async with aclosing(work.run(payloads, task=task, choice=choice, session="one")) as steps:
            async for step, _ in with_link(steps, work._inference):
                found = step
        assert found is not None
        return found

    return asyncio.run(last())


def test_a_bad_picture_is_named_and_the_others_are_done(tmp_path: Path, sample_files: SampleFiles) -> None:
    work = collections(tmp_path)
    pixelated, clean = sample_files.pixelated.read_bytes(), sample_files.clean.read_bytes()
    payloads = [
        uploaded(tmp_path, "summer holiday.png", pixelated),
        uploaded(tmp_path, "bad.png", b"no picture"),
        uploaded(tmp_path, "clean.jpg", clean),
        uploaded(tmp_path, "summer holiday.jpg", pixelated),
        {"path": "/etc/passwd"},
    ]
    done = run(work, payloads)
    assert [item.repaired for item in done.items] == [True, False, False, True, False]
    assert done.items[1].error.startswith("This is not a picture")
    assert done.items[4].error == "Only files that were uploaded here can be used."
    files = dict(result_files(done))
    assert list(files) == ["summer holiday.clear.png", "clean.jpg", "summer holiday.clear (2).png"]
    assert files["clean.jpg"].read_bytes() == clean
    assert read_picture(files["summer holiday.clear.png"]).pixels.shape == (270, 480, 3)
    page = gallery(done, link="/results/x")
    assert "2 of 5 pictures were repaired. 1 had nothing to repair" in page
    assert "<b>bad.png</b> This is not a picture" in page


def test_the_gallery_outlives_the_uploads(tmp_path: Path, sample_files: SampleFiles) -> None:
    work = collections(tmp_path)
    payload = uploaded(tmp_path, "a.png", sample_files.pixelated.read_bytes())
    done = run(work, [payload])
    Path(payload["path"]).unlink()
    pages = GalleryPages(work._inference)
    opened = pages.opened(done.folder, 0)
    assert opened is not None
    assert "before.png" in opened[1]
    assert read_picture(done.folder / "0.before.png").pixels.shape == (270, 480, 3)
    assert pages.opened(done.folder, 1) is None
    assert pages.opened(tmp_path, 0) is None


def test_detect_shows_verdicts_and_evidence(tmp_path: Path, sample_files: SampleFiles) -> None:
    work = collections(tmp_path)
    names = ("one.png", sample_files.pixelated), ("two.jpg", sample_files.clean)
    payloads = [uploaded(tmp_path, name, path.read_bytes()) for name, path in names]
    done = run(work, payloads, task="detect", choice="grid")
    assert [(item.values["method"], item.values["kind"]) for item in done.items] == [
        ("grid", "pixelated"),
        ("grid", "clean"),
    ]
    assert "1 of 2 pictures is pixelated." in gallery(done, link="/results/x")
    opened = GalleryPages(work._inference).opened(done.folder, 0)
    assert opened is not None
    assert "0.evidence.png" in opened[1]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"several_pictures": 1}, "These are 2 pictures: at most 1 at once."),
        ({"several_bytes": 1000}, "at most 0 MB at once"),
    ],
)
def test_limits_are_said_in_words(
    tmp_path: Path, sample_files: SampleFiles, limits: dict[str, int], message: str
) -> None:
    work = collections(tmp_path, replace(LIMITS, **limits))  # type: ignore[arg-type]
    payloads = [uploaded(tmp_path, "a.png", sample_files.pixelated.read_bytes()) for _ in range(2)]
    with pytest.raises(RefusedError, match=message):
        run(work, payloads)
    assert list((tmp_path / "store" / "results").iterdir()) == []


def test_pictures_beyond_the_pixel_limit_are_left_out_by_name(tmp_path: Path, sample_files: SampleFiles) -> None:
    work = collections(tmp_path, replace(LIMITS, several_px=200_000))
    payloads = [uploaded(tmp_path, f"{n}.png", sample_files.pixelated.read_bytes()) for n in range(2)]
    done = run(work, payloads)
    assert [item.error.partition(":")[0] for item in done.items] == ["", "Left out"]


@pytest.mark.parametrize("payloads", [[], None, "x", {"path": "x"}])
def test_no_pictures_are_refused(tmp_path: Path, payloads: object) -> None:
    with pytest.raises(RefusedError, match="Choose some pictures first"):
        run(collections(tmp_path), payloads)


def test_cancelling_leaves_no_files(tmp_path: Path, sample_files: SampleFiles) -> None:
    work = collections(tmp_path)
    payloads = [uploaded(tmp_path, f"{n}.png", sample_files.pixelated.read_bytes()) for n in range(20)]

    async def cancel_after_the_first_step() -> None:
        steps: AsyncIterator[Collection] = work.run(payloads, task="correct", choice="lanczos", session="one")
        async for _ in steps:
            with pytest.raises(RefusedError, match="Wait for them, or cancel"):
                await anext(aiter(work.run(payloads, task="correct", choice="lanczos", session="one")))
            work.cancel("one")

    with pytest.raises(CollectionCancelledError):
        asyncio.run(cancel_after_the_first_step())
    assert list((tmp_path / "store" / "results").iterdir()) == []


def test_archives_are_complete_and_keep_names(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "file").write_bytes(content)
    chunks = list(zip_stream([("über.png", tmp_path / "file"), ("b.png", tmp_path / "file")], texts=[("r.json", "[]")]))
    assert len(chunks) > 4
    with zipfile.ZipFile(io.BytesIO(b"".join(chunks))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["über.png", "b.png", "r.json"]
        assert archive.read("b.png") == content
        assert json.loads(archive.read("r.json")) == []


def test_an_archive_that_lacks_a_file_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 1000)
    received = []
    with pytest.raises(FileNotFoundError):
        received.extend(zip_stream([("a.png", tmp_path / "file"), ("b.png", tmp_path / "missing")]))
    assert not zipfile.is_zipfile(io.BytesIO(b"".join(received)))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("summer holiday (1).JPG", "summer holiday (1).JPG"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a.png", "a.png"),
        ("a\0b\n<c>.png", "a_b__c_.png"),
        ("\u202egnp.exe", "_gnp.exe"),
        ("CON.png", "_CON.png"),
        ("\ud800.png", "_.png"),
        ("  ", "picture"),
        (None, "picture"),
        ("x" * 300 + ".png", "x" * 120 + ".png"),
        ("ü" * 300 + ".png", "ü" * 60 + ".png"),
    ],
)
def test_names_are_safe_on_every_system(name: object, safe: str) -> None:
    assert safe_name(name) == safe


def test_equal_names_get_numbers() -> None:
    assert unique_names(["a.png", "A.png", "a.png", "b"]) == ["a.png", "A (2).png", "a (3).png", "b"]
