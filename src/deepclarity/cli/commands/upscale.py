"""`deepclarity upscale`: a video file in, the same video repaired out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepclarity.cli import options

if TYPE_CHECKING:
    from deepclarity.pipelines.preset import Preset


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: IN.clear.EXT beside IN.")
@click.option("--preset", "preset_name", default="default", help="Name of a preset, or a TOML file of yours.")
@options.model
@options.method
@options.pixel_art
@click.option("--all", "which", flag_value="all", help="Enhance every frame, pixelated or not.")
@click.option("--none", "which", flag_value="none", help="Enhance nothing: only resize and re-encode.")
@click.option("--size", metavar="auto|fhd|WxH", help="auto: Full HD, larger pictures keep their size.")
@click.option("--pad/--no-pad", default=None, help="Fill the size up with black bars.")
@click.option("--codec", metavar="h264|hevc|av1", help="Default: h264; hevc for 10 bit; av1 in webm.")
@click.option("--crf", type=int, metavar="N", help="Constant rate factor: less is better and larger.")
@click.option("--speed", metavar="PRESET", help="Encoder effort: ultrafast … veryslow.")
@click.option("--encoder", metavar="auto|software|nvenc", help="Who encodes.")
@options.device
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE.html|.json", help="Write a report.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run of the same command stopped.")
@click.option("-y", "--yes", is_flag=True, help="Replace the output if it exists.")
@options.quiet
@options.debug
def upscale(
    source: Path,
    output: Path | None,
    preset_name: str,
    report: Path | None,
    resume: bool,
    yes: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Repair the pixelated frames of IN; all others pass untouched. Small pictures leave at Full HD.

    Sound, subtitles, chapters and timestamps are kept. Nothing half-written stands under the output's name.
    """
    from deepclarity.cli.progress import Progress, summary_lines
    from deepclarity.pipelines.preset import load_preset
    from deepclarity.pipelines.upscale import Job, default_output, raise_if_damaged
    from deepclarity.pipelines.upscale import upscale as run
    from deepclarity.stream.errors import check_readable

    check_readable(source)
    preset: Preset = replace(load_preset(preset_name), **options.typed(given))
    job = Job(
        source=source,
        output=output or default_output(source),
        preset=preset,
        overwrite=yes,
        report=report,
        resume=resume,
    )
    with Progress(quiet=quiet, name=source.name) as progress:
        summary = run(job, progress=progress)
    if not quiet:
        for line in summary_lines(summary, which=preset.which):
            click.echo(line)
    raise_if_damaged(summary)
