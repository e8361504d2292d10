"""`deepclarity correct`: repair pixelated pictures."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepclarity.cli import options
from deepclarity.errors import DeepClarityError, UsageError

if TYPE_CHECKING:
    from deepclarity.models.verdict import Verdict


@click.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Output file, or folder for several images.")
@click.option(
    "--model", default="srgan", metavar="TIER|FILE",
    help="Enhancer tier, or a model file; see 'deepclarity models'. Default: srgan.",
)  # fmt: skip
@options.method
@options.pixel_art
@click.option(
    "--scale",
    type=click.FloatRange(0.1, 16),
    default=1.0,
    help="Resize the picture by this factor, pixelated or not. Default: 1.",
)
@click.option("--force", is_flag=True, help="Repair pictures even if they are not pixelated.")
@options.repair
@click.option("--compare", is_flag=True, help="Also write OUTPUT.compare.png: before and after side by side.")
@options.device_auto
@options.overwrite
@options.quiet
@options.debug
def correct(
    images: tuple[Path, ...],
    output: Path | None,
    model: str,
    method: str | None,
    pixel_art: bool | None,
    scale: float,
    force: bool,
    repair: str | None,
    compare: bool,
    device: str,
    yes: bool,
    quiet: bool,
) -> int:
    """Repair each pixelated IMAGE at its original size (see --scale).

    The output is IMAGE.clear.EXT beside IMAGE unless -o is given. Nothing is written for a picture that is not
    pixelated, unless --force or --scale is given.
    """
    from deepclarity.models.artifacts.reducer import load_reducer
    from deepclarity.models.detectors import DEFAULT_DETECTOR, load_detector
    from deepclarity.models.load import load_enhancer
    from deepclarity.models.verdict import Kind
    from deepclarity.pipelines.correct import correct as correct_picture
    from deepclarity.pipelines.correct import side_by_side
    from deepclarity.pipelines.route import Routing, parse_repair
    from deepclarity.stream.files.still import read_picture, write_picture
    from deepclarity.stream.pictures.sniff import check_still

    if math.isnan(scale):
        raise UsageError("--scale nan: not a number. Use 0.1 to 16.")
    targets = _targets(images, output)
    kinds = parse_repair(repair) if repair is not None else Routing().repair
    detector, code = load_detector(DEFAULT_DETECTOR if method is None else method, pixel_art=bool(pixel_art)), 0
    options.silence_opencv()
    with contextlib.closing(load_enhancer(model, device=device)) as enhancer:
        reducer = load_reducer(enhancer.name) if Kind.BLOCKY in kinds else None
        settings: dict[str, Any] = {"detector": detector, "enhancer": enhancer, "scale": scale, "force": force}
        for image, target in zip(images, targets, strict=True):
            try:
                comparison = target.with_suffix(".compare.png")
                for file in (target, comparison) if compare else (target,):
                    check_target(file, image, overwrite=yes)
                check_still(image)
                before = read_picture(image)
                result = correct_picture(before, repair=kinds, reducer=reducer, **settings)
                if result.repaired:
                    write_picture(target, result.picture)
                if compare and result.repaired:
                    write_picture(comparison, side_by_side(before, result.picture))
            except DeepClarityError as error:
                click.echo(f"deepclarity: {error}", err=True)
                code = error.exit_code
                continue
            if not quiet:
                click.echo(_result_line(image, target, result.verdict, repaired=result.repaired))
    return code


def _targets(images: tuple[Path, ...], output: Path | None) -> list[Path]:
    """The paths of all repaired pictures; UsageError if two are the same."""
    if output is not None and len(images) > 1 and not output.is_dir():
        raise UsageError(f"{output}: not a folder. For several images, -o must be an existing folder.")
    targets = [target_of(image, output) for image in images]
    if len(set(targets)) < len(targets):
        duplicate = next(target for target in targets if targets.count(target) > 1)
        raise UsageError(f"{duplicate}: two images would be written to this file. Repair them one at a time.")
    return targets


def target_of(image: Path, output: Path | None) -> Path:
    """Path of the repaired picture."""
    from deepclarity.stream.files.still import IMAGE_SUFFIXES

    suffix = image.suffix if image.suffix.lower() in IMAGE_SUFFIXES else ".png"
    name = f"{image.stem}.clear{suffix}"
    if output is None:
        return image.with_name(name)
    return output / name if output.is_dir() else output


def check_target(target: Path, image: Path, *, overwrite: bool) -> None:
    """Raise UsageError if `target` must not be written."""
    if target.exists() and image.exists() and target.samefile(image):
        raise UsageError(f"{target}: the output is the input. Choose another name with -o.")
    if target.exists() and not overwrite:
        raise UsageError(f"{target}: already exists. Add -y to replace it, or choose another name with -o.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder. Create it, or choose another place with -o.")


def _result_line(image: Path, target: Path, verdict: Verdict, *, repaired: bool) -> str:
    if repaired:
        return f"{image}: repaired (score {verdict.score:.2f}) → {target}"
    left = f"{image}: not pixelated (score {verdict.score:.2f}), left unchanged."
    if verdict.factors is not None:
        return f"{left} It was enlarged from a smaller picture: --repair pixelated,blocky,soft repairs that, too."
    return f"{left} Add --force to repair it anyway."
