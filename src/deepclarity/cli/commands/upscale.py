"""`deepclarity upscale`: repair a video file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from deepclarity.cli import options
from deepclarity.errors import UsageError

_PIPE = Path("-")


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, allow_dash=True),
    help="Output file, or - for standard output. Default: IN.clear.EXT beside IN.",
)  # fmt: skip
@click.option(
    "--format", "pipe_format", metavar="nut|mkv|y4m|ts", help="Format on standard output. Default: nut, raw pictures."
)
@click.option("--fps", metavar="N|N/M", help="Pictures per second of numbered pictures, IN/%05d.png. Default: 25.")
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
@click.option(
    "--codec",
    metavar="h264|hevc|av1|vp9|prores",
    help="Output codec. Default: h264; hevc for 10 bit; av1 for WebM; what keeps transparency, if there is any.",
)
@click.option(
    "--copy", metavar="auto|never", help="auto: copy what needs no repair, byte for byte, if size and codec stay."
)
@options.crf
@options.speed
@click.option("--encoder", metavar="auto|software|nvenc", help="Encoder. auto: NVENC on a GPU, else software.")
@options.device
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE.html|.json", help="Write an HTML or JSON report."
)
@options.track
@click.option("--resume", is_flag=True, help="Resume an interrupted run of the same command.")
@options.overwrite
@options.quiet
@options.debug
def upscale(
    source: Path,
    output: Path | None,
    pipe_format: str | None,
    fps: str | None,
    preset_name: str,
    report: Path | None,
    resume: bool,
    yes: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Repair the pixelated frames of IN; all other frames stay unchanged.

    Videos smaller than Full HD are enlarged to Full HD; see --size. Where size and codec stay, segments without a frame
    to repair are copied byte for byte, not encoded anew. Audio, subtitles, chapters and timestamps are
    kept. The output file appears only when it is complete. Options override the values of the preset.

    IN and the output may also be numbered pictures (frames/%05d.png), a GIF, an animated WebP or an APNG. Sizes of
    pictures need not be even.

    IN and the output may be - for pipes: standard input is read in any format that FFmpeg reads from a pipe.
    """
    from deepclarity.cli.progress import Progress, summary_lines
    from deepclarity.pipelines.jobs.job import Job
    from deepclarity.pipelines.upscale import default_output, raise_if_damaged
    from deepclarity.pipelines.upscale import upscale as run
    from deepclarity.stream.media import Medium, check_source, source_medium

    rate = None if fps is None else parse_rate(fps)
    check_source(source, rate=rate)
    if source == _PIPE and output is None:
        raise UsageError("-: from standard input there is no name for the output. Add -o FILE, or -o - for a pipe.")
    if pipe_format is not None and output != _PIPE:
        raise UsageError(f"--format {pipe_format}: for -o - only; a file's format is that of its ending.")
    if source_medium(source) is Medium.NUMBERED and output is None:
        raise UsageError(f"{source}: numbered pictures have no default output. Add -o FILE or -o FOLDER/%05d.png.")
    preset = options.load_overridden_preset(preset_name, values)
    job = Job(
        source=source,
        output=output or default_output(source),
        preset=preset,
        overwrite=yes,
        report=report,
        resume=resume,
        pipe_format=pipe_format or "nut",
        rate=rate,
    )
    with Progress(quiet=quiet, name="standard input" if source == _PIPE else source.name) as progress:
        summary = run(job, progress=progress)
    if not quiet:
        for line in summary_lines(summary, which=preset.which):
            click.echo(line, err=output == _PIPE)
    raise_if_damaged(summary)


def parse_rate(text: str) -> Fraction:
    """Parse pictures per second, `24`, `23.976` or `24000/1001`; raises UsageError for anything else."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not Fraction(1, 1000) <= rate <= 1000:
        raise UsageError(f"--fps {text}: not a frame rate. Use a number such as 24, or a fraction such as 24000/1001.")
    return rate
