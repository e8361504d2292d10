"""`deepclarity detect`: detect pixelation in pictures and videos."""

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
@options.track
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--explain",
    type=click.Path(path_type=Path),
    metavar="OUT.png",
    help="Plot the evidence for one picture or a video's first pixelated frame; overwrites OUT.png.",
)
@options.debug
def detect(
    paths: tuple[Path, ...],
    method: str | None,
    pixel_art: bool | None,
    track: int | None,
    as_json: bool,
    explain: Path | None,
) -> int:
    """Report whether each PATH is pixelated: a picture, a video, or a folder of them.

    The exit code is 2 if any file could not be read; the other files are still reported.
    """
    from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
    from deepclarity.pipelines.detect_file import detect_file, files_in

    detector = load_detector(DEFAULT_DETECTOR if method is None else method, pixel_art=bool(pixel_art))
    options.silence_opencv()
    if explain is not None:
        _explain(paths, detector, explain, track=track)
    code = 0
    for path in paths:
        try:
            for file in files_in(path):
                try:
                    verdict = detect_file(file, detector, track=track)
                except DeepClarityError as error:
                    code = _worse(code, _report_error(error))
                    continue
                click.echo(_json(verdict) if as_json else _line(verdict))
                if verdict.damaged:
                    message = f"{file}: {verdict.damaged} damaged or missing packets; the rest was analysed."
                    code = _worse(code, _report_error(DamagedInputError(message)))
        except DeepClarityError as error:
            code = _worse(code, _report_error(error))
    return code


def _explain(paths: tuple[Path, ...], detector: Detector, target: Path, *, track: int | None) -> None:
    """Plot the evidence for the verdict on the only path; overwrites `target`."""
    from deepclarity.pipelines.report.explain import explain
    from deepclarity.stream.files.still import write_picture

    if len(paths) != 1:
        raise UsageError(f"--explain takes one PATH, not {len(paths)}. Give only the file to explain.")
    tables.check_targets(None, target)
    if target.exists() and paths[0].exists() and target.samefile(paths[0]):
        raise UsageError(f"{target}: the output is the input. Choose another file name.")
    write_picture(target, explain(paths[0], detector, track=track))


def _worse(code: int, other: int) -> int:
    """The exit code for two results: an unreadable file (2) takes precedence over a damaged one (3)."""
    unreadable = UsageError.exit_code
    return unreadable if unreadable in (code, other) else max(code, other)


def _report_error(error: DeepClarityError) -> int:
    click.echo(f"deepclarity: {error}", err=True)
    return error.exit_code


def _json(verdict: FileVerdict) -> str:
    values = asdict(verdict)
    if verdict.frames is None:
        del values["frames"], values["ranges"], values["damaged"], values["frames_by_kind"]
    return json.dumps(values)


def _line(verdict: FileVerdict) -> str:
    blocks = f", blocks of {verdict.block_px:g}×{verdict.block_height_px:g} px" if verdict.block_px else ""
    if verdict.native_size:
        blocks += f", enlarged from about {verdict.native_size[0]}×{verdict.native_size[1]}"
    text = (
        f"{verdict.path}: {verdict.kind} (score {verdict.score:.2f}{blocks}, {verdict.ms:.1f} ms by {verdict.method})"
    )
    for part in verdict.ranges:
        text += f"\n  {part['start_s']:.3f}–{part['end_s']:.3f} s, frames {part['first_frame']}–{part['last_frame']}"
    return text
