"""`deepclarity demo`: needs no input; makes a clip, pixelates part of it, repairs it, shows where."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from deepclarity.cli import options


@click.command()
@click.option("-o", "--output", default="demo", type=click.Path(path_type=Path), help="Folder. Default: demo.")
@click.option("--seconds", type=click.FloatRange(1, 60), default=4.0, help="Length of the clip.")
@options.model
@options.device
@options.quiet
@options.debug
def demo(output: Path, seconds: float, model: str | None, device: str | None, quiet: bool) -> None:
    """Make a Full HD clip, pixelate its middle, repair it, and say where everything is.

    Needs no input file, no GPU and no network. What an earlier demo left in the folder is replaced.
    """
    from deepclarity.cli.progress import Progress, summary_lines
    from deepclarity.pipelines.demo.demo import make_clip, show
    from deepclarity.pipelines.preset import load_preset
    from deepclarity.pipelines.upscale import Job, upscale

    preset = replace(load_preset("default"), **options.changes(model=model, device=device))  # type: ignore[arg-type]
    if not quiet:
        click.echo(f"Painting {seconds:g} s of Full HD video and pixelating the middle …")
    clip = make_clip(output, seconds=seconds)
    job = Job(
        source=clip.path, output=output / "repaired.mp4", preset=preset, overwrite=True, report=output / "report.html"
    )
    with Progress(quiet=quiet, name="Repairing") as progress:
        summary = upscale(job, progress=progress)
    picture = show(clip, job.output, output / "before_after.png")
    if quiet:
        return
    for line in summary_lines(summary, which=preset.which):
        click.echo(line)
    click.echo(f"Pixelated clip:    {clip.path}")
    click.echo(f"Repaired video:    {job.output}")
    click.echo(f"Before and after:  {picture}")
    click.echo(f"Report:            {job.report}")
