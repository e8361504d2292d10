"""`deepclarity export`: write a tier for other programs."""

from __future__ import annotations

import re
from pathlib import Path

import click

from deepclarity.cli import options
from deepclarity.errors import UsageError

_EXTENSIONS = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}


@click.command()
@click.argument("tier", metavar="TIER")
@click.option(
    "--format", "format_name", type=click.Choice(list(_EXTENSIONS)), default="onnx", help="File format. Default: onnx."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Output file. Default: TIER-xSCALE with the format's extension.",
)
@click.option("--scale", type=click.IntRange(1, 8), help="Factor of enlargement. Default: the tier's largest.")
@click.option("--rgb", is_flag=True, help="Take and return RGB instead of luma.")
@click.option("--fp16", is_flag=True, help="Compute in half precision; input and output stay in single precision.")
@click.option("--size", metavar="WxH", help="Accept input of this size only. Default: any size.")
@options.overwrite
@options.quiet
@options.debug
def export(
    tier: str,
    format_name: str,
    output: Path | None,
    scale: int | None,
    rgb: bool,
    fp16: bool,
    size: str | None,
    yes: bool,
    quiet: bool,
) -> None:
    """Export TIER as ONNX, TorchScript or safetensors, for chaiNNer, vs-mlrt and others.

    The file is run once and compared with TIER before it is written. docs/models.md shows how to use it.
    """
    from deepclarity.atomic_write import atomic_write
    from deepclarity.models.export.export import export_tier, exportable_tiers
    from deepclarity.models.export.spec import ExportSpec

    factor = scale or max(exportable_tiers().get(tier, (1,)))
    spec = ExportSpec(format_name, factor, rgb=rgb, half=fp16, size=_size(size))
    stem = tier if format_name == "safetensors" else f"{tier}{'-rgb' if rgb else ''}-x{factor}"
    path = output or Path(f"{stem}{'-fp16' if fp16 else ''}{_EXTENSIONS[format_name]}")
    if path.exists() and not yes:
        raise UsageError(f"{path}: already exists. Add -y to replace it, or choose another name with -o.")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder. Create it, or choose another place with -o.")
    done = export_tier(tier, spec)
    atomic_write(path, done.content)
    if not quiet:
        click.echo(
            f"{path}: {len(done.content) / 1024:.0f} KiB; at most {done.difference:.3f} of 255 levels from {tier}, "
            f"checked with {done.checked_with}"
        )


def _size(text: str | None) -> tuple[int, int] | None:
    """(width, height) from `WxH`."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not found or min(int(found[1]), int(found[2])) < 8 or int(found[1]) * int(found[2]) > 2**24:
        raise UsageError(f"--size {text}: use WIDTHxHEIGHT, at least 8x8 and at most 16 megapixels, such as 640x360.")
    return int(found[1]), int(found[2])
