"""The public API: its names, types and documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import deepclarity as dc
from deepclarity.stream.files.clip import write_clip
from deepclarity.stream.files.still import Picture, write_picture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, painting: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a pixelated film.mp4 and picture.png, which is the working directory."""
    small = painting[:360:4, :640:4]
    blocks = np.ascontiguousarray(small.repeat(4, axis=0).repeat(4, axis=1))
    write_picture(tmp_path / "picture.png", Picture(np.ascontiguousarray(blocks[:, :, ::-1])))
    write_clip(tmp_path / "film.mp4", [blocks] * 8, rate=25)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_public_name_can_be_imported() -> None:
    for name in dc.__all__:
        assert getattr(dc, name) is not None
    assert set(dc.__all__) <= set(dir(dc))


def test_unknown_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        dc.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_every_public_name_is_documented() -> None:
    assert [name for name in dc.__all__ if f"`{name}`" not in PAGE] == []


def test_import_loads_no_third_party_library() -> None:
    heavy = "{'numpy', 'torch', 'cv2', 'av', 'openvino', 'click'}"
    code = f"import sys, deepclarity; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_documented_example_runs(number: int, folder: Path) -> None:
    assert (folder / "film.mp4").exists()
    exec(compile(EXAMPLES[number], f"docs/python.md, example {number}", "exec"), {"__name__": "example"})


USER_FILE = """
import deepclarity as dc
import numpy as np
from numpy.typing import NDArray

def shown(done: int, total: int | None) -> None: ...

summary: dc.Summary = dc.upscale("film.mp4", "repaired.mp4", model="turbo", progress=shown)
verdict: dc.Verdict = dc.detect("picture.png")
image: NDArray[np.uint8] = np.zeros((8, 8, 3), np.uint8)
repaired = dc.correct(image, model=dc.load_enhancer("turbo"), detector=dc.load_detector())
height: int = repaired.shape[0]
for frame in dc.repair([image], rate=30, order="rgb"):
    print(frame.shape)
try:
    dc.detect_file("x.png")
except dc.errors.SourceError as error:
    print(error.exit_code)
"""


@pytest.mark.slow
def test_user_code_passes_mypy_strict(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER_FILE)
    env = os.environ | {"MYPYPATH": str(ROOT / "src")}  # an editable install is invisible to mypy
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--follow-imports=silent",
        "--cache-dir",
        str(tmp_path / "cache"),
        "user.py",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110, env=env)
    assert done.returncode == 0, done.stdout
