"""`deepclarity detect`: verdicts on pictures and videos."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deepclarity.cli import options, tables
from deepclarity.errors import DamagedInputError, DeepClarityError, UsageError

if TYPE_CHECKING:
    from deepclarity.models.verdict import Detector
    from deepclarity.pipelines.detect_file import FileVerdict


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.method
@options.pixel_art
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--explain",
    type=click.Path(path_type=Path),
    metavar="OUT.png",
    help="Draw the evidence of one picture, or of a video's first pixelated frame; replaces OUT.png.",
)
@options.debug
def detect(
    paths: tuple[Path, ...], method: str | None, pixel_art: bool | None, as_json: bool, explain: Path | None
) -> int:
    """Say whether each PATH (a picture, a video, a folder of them) is pixelated.

    Exits with 2 when any of them could not be judged; the others are told all the same.
    """
    from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
    from deepclarity.pipelines.detect_file import detect_file, files_in

    detector = load_detector(DEFAULT_DETECTOR if method is None else method, pixel_art=bool(pixel_art))
    options.hush_opencv()
    if explain is not None:
        _explain(paths, detector, explain)
    code = 0
    for path in paths:
        try:
            for file in files_in(path):
                try:
                    found = detect_file(file, detector)
                except DeepClarityError as error:
                    code = _worse(code, _complain(error))
                    continue
                click.echo(_json(found) if as_json else _line(found))
                if found.damaged:
                    told = f"{file}: {found.damaged} damaged or missing packets; the rest was judged."
                    code = _worse(code, _complain(DamagedInputError(told)))
        except DeepClarityError as error:
            code = _worse(code, _complain(error))
    return code


def _explain(paths: tuple[Path, ...], detector: Detector, target: Path) -> None:
    """Draw why the one path is judged as it is; the file at `target` is replaced."""
    from deepclarity.pipelines.report.explain import explain
    from deepclarity.stream.files.still import write_picture

    if len(paths) != 1:
        raise UsageError(f"--explain takes one PATH, not {len(paths)}. Name the one to explain.")
    tables.check_targets(None, target)
    if target.exists() and paths[0].exists() and target.samefile(paths[0]):
        raise UsageError(f"{target}: is the picture itself. Choose another place.")
    write_picture(target, explain(paths[0], detector))


def _worse(code: int, other: int) -> int:
    """A file that could not be judged outweighs one that was damaged."""
    bad = UsageError.exit_code
    return bad if bad in (code, other) else max(code, other)


def _complain(error: DeepClarityError) -> int:
    click.echo(f"deepclarity: {error}", err=True)
    return error.exit_code


def _json(found: FileVerdict) -> str:
    values = asdict(found)
    if found.frames is None:
        del values["frames"], values["ranges"], values["damaged"]
    return json.dumps(values)


def _line(found: FileVerdict) -> str:
    blocks = f", blocks of {found.block_px:g}×{found.block_height_px:g} px" if found.block_px else ""
    text = f"{found.path}: {found.kind} (score {found.score:.2f}{blocks}, {found.ms:.1f} ms by {found.method})"
    for part in found.ranges:
        text += f"\n  {part['start_s']:.3f}–{part['end_s']:.3f} s, frames {part['first_frame']}–{part['last_frame']}"
    return text
