"""`deepclarity demo`: generate a pixelated clip, repair it and write a report; needs no input."""

from __future__ import annotations

from pathlib import Path

import click

from deepclarity.cli import options


@click.command()
@click.option("-o", "--output", default="demo", type=click.Path(path_type=Path), help="Output folder. Default: demo.")
@click.option("--seconds", type=click.FloatRange(1, 60), default=4.0, help="Length of the clip in seconds. Default: 4.")
@options.model
@options.device
@options.quiet
@options.debug
def demo(output: Path, seconds: float, model: str | None, device: str | None, quiet: bool) -> None:
    """Generate a Full HD clip, pixelate its middle, repair it and write a report.

    Needs no input file, no GPU and no network. Files of an earlier demo in the output folder are overwritten.
    """
    from deepclarity.cli.progress import Progress, summary_lines
    from deepclarity.pipelines.demo.demo import make_clip, show
    from deepclarity.pipelines.jobs.job import Job
    from deepclarity.pipelines.upscale import upscale

    preset = options.load_overridden_preset("default", {"model": model, "device": device})
    if not quiet:
        click.echo(f"Generating {seconds:g} s of Full HD video with a pixelated middle …")
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
