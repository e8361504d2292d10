"""`deepclarity batch`: repair folders and lists of videos and pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepclarity.cli import options
from deepclarity.errors import UsageError

if TYPE_CHECKING:
    from deepclarity.pipelines.batch.records import BatchOptions


@click.command()
@click.argument("inputs", metavar="DIR|LIST|FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "output_dir", required=True, type=click.Path(path_type=Path), metavar="OUTDIR",
    help="Folder for the repaired files; created if it does not exist.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, metavar="N", help="Worker processes."
)
@click.option("--watch", is_flag=True, help="Wait for more files in DIR or LIST, until interrupted by Ctrl-C.")
@click.option(
    "--settle", "settle_s", type=click.FloatRange(0.1, 3600), default=2.0, show_default=True, metavar="S",
    help="With --watch: take a file when it has not changed for S seconds.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as a JSON object.")
@options.preset("default")
@click.option("--model", metavar="TIER|FILE", help="Enhancer tier, or a model file. Default: auto; srgan for pictures.")
@options.method
@options.pixel_art
@options.all_frames
@options.no_frames
@options.repair
@click.option("--size", metavar="auto|fhd|WxH", help="Size of videos. auto: Full HD; larger videos keep their size.")
@click.option("--pad/--no-pad", default=None, help="Pad videos to the output size with black bars.")
@click.option("--codec", metavar="h264|hevc|av1", help="Codec of videos. Default: h264; hevc for 10 bit; av1 for WebM.")
@options.crf
@options.speed
@click.option("--encoder", metavar="auto|software|nvenc", help="Encoder. auto: NVENC on a GPU, else software.")
@click.option(
    "--scale", type=click.FloatRange(0.1, 16), default=1.0, help="Resize pictures by this factor. Default: 1."
)
@click.option("--force", is_flag=True, help="Repair pictures even if they are not pixelated.")
@options.device
@options.overwrite
@options.quiet
@options.debug
def batch(
    inputs: tuple[Path, ...],
    output_dir: Path,
    jobs: int,
    watch: bool,
    settle_s: float,
    as_json: bool,
    yes: bool,
    quiet: bool,
    **values: Any,
) -> int:
    """Repair all videos and pictures in folders (recursively) and lists, into a mirrored tree in OUTDIR.

    A LIST is a text file with one path a line, or - for standard input. Files that an earlier run finished with the
    same options are skipped. A file that fails is named, and the others go on. Pictures that are not pixelated are
    copied. The exit code is 3 if any file failed or was damaged.
    """
    from deepclarity.cli.batch_progress import BatchProgress, summary_lines
    from deepclarity.pipelines.batch.run import BatchJob, run_batch

    job = BatchJob(
        inputs=inputs,
        output_dir=output_dir,
        options=_options(values),
        jobs=jobs,
        overwrite=yes,
        watch=watch,
        settle_s=settle_s,
    )
    with BatchProgress(quiet=quiet) as progress:
        summary = run_batch(job, observer=progress)
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    elif not quiet:
        for line in summary_lines(summary, output_dir):
            click.echo(line)
    return summary.exit_code


def _options(values: dict[str, Any]) -> BatchOptions:
    from deepclarity.pipelines.batch.records import PICTURE_MODEL, BatchOptions

    scale, force = values.pop("scale"), values.pop("force")
    if math.isnan(scale):
        raise UsageError("--scale nan: not a number. Use 0.1 to 16.")
    model = values["model"]
    preset = options.load_overridden_preset(values.pop("preset_name"), values)
    return BatchOptions(preset, picture_model=model or PICTURE_MODEL, scale=scale, force=force)
