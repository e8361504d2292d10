"""`deepclarity upscale`: repair a video file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepclarity.cli import options


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output file. Default: IN.clear.EXT beside IN.")
@options.preset("default")
@options.model
@options.method
@options.pixel_art
@options.all_frames
@options.no_frames
@options.repair
@click.option("--size", metavar="auto|fhd|WxH", help="Output size. auto: Full HD; larger videos keep their size.")
@click.option("--pad/--no-pad", default=None, help="Pad to the output size with black bars.")
@options.deinterlace
@click.option("--codec", metavar="h264|hevc|av1", help="Output codec. Default: h264; hevc for 10 bit; av1 for WebM.")
@options.crf
@options.speed
@click.option("--encoder", metavar="auto|software|nvenc", help="Encoder. auto: NVENC on a GPU, else software.")
@options.device
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE.html|.json", help="Write an HTML or JSON report."
)
@click.option("--resume", is_flag=True, help="Resume an interrupted run of the same command.")
@options.overwrite
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
    **values: Any,
) -> None:
    """Repair the pixelated frames of IN; all other frames stay unchanged.

    Videos smaller than Full HD are enlarged to Full HD; see --size. Audio, subtitles, chapters and timestamps are
    kept. The output file appears only when it is complete. Options override the values of the preset.
    """
    from deepclarity.cli.progress import Progress, summary_lines
    from deepclarity.pipelines.upscale import Job, default_output, raise_if_damaged
    from deepclarity.pipelines.upscale import upscale as run
    from deepclarity.stream.errors import check_readable

    check_readable(source)
    preset = options.load_overridden_preset(preset_name, values)
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
