"""`deepclarity licenses`: the licences of the program, its weights and the installed libraries."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata

import click

from deepclarity.cli import options

_PROJECT = "deepclarity"
_TOOLS = ("dev", "docs")
"""Extras for working on the project, which no user installs."""
_BUNDLED = {
    "libx264": ("x264", "GPL-2.0-or-later"),
    "libx265": ("x265", "GPL-2.0-or-later"),
    "libavcodec": ("FFmpeg", "LGPL-2.1-or-later, in some builds version 3"),
    "libmp3lame": ("LAME", "LGPL-2.0-or-later"),
    "libgnutls": ("GnuTLS", "LGPL-2.1-or-later"),
    "libgmp": ("GMP", "LGPL-3.0-or-later or GPL-2.0-or-later"),
    "libnettle": ("Nettle", "LGPL-3.0-or-later or GPL-2.0-or-later"),
    "libQt5Core": ("Qt 5", "LGPL-3.0-only"),
    "libheif": ("libheif", "LGPL-3.0-or-later"),
    "libde265": ("libde265", "LGPL-3.0-or-later"),
    "libgfortran": ("GNU Fortran's library", "GPL-3.0-or-later WITH GCC-exception-3.1"),
}
"""Shared libraries under the GPL or LGPL that wheels contain, by the beginning of the file's name."""


@dataclass(frozen=True, slots=True)
class Licence:
    """One thing that is installed, and its licence as its own metadata states it."""

    kind: str
    """`program`, `weights`, `library` or `bundled`."""
    name: str
    version: str
    licence: str
    """An SPDX expression where the metadata has one; `not stated` where it has nothing."""
    note: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@options.debug
def licenses(as_json: bool) -> None:
    """List the licences of DeepClarity, its weights, the installed libraries, and what their wheels contain.

    The licences are those that the packages' metadata and the weights' manifest state. A model file of your own has a
    licence of its own: see 'deepclarity models --folder'.
    """
    found = [*_program(), *_weights(), *_libraries()]
    if as_json:
        for entry in found:
            click.echo(json.dumps(asdict(entry)))
        return
    titles = {
        "program": "Program",
        "weights": "Weights",
        "library": "Libraries",
        "bundled": "In their wheels, under the GPL or LGPL",
    }
    for kind, title in titles.items():
        click.echo(title)
        for entry in (entry for entry in found if entry.kind == kind):
            click.echo(
                f"  {entry.name:<28} {entry.version:<16} {entry.licence}{f'  ({entry.note})' if entry.note else ''}"
            )
    if any("GPL-2.0" in entry.licence and "LGPL" not in entry.licence for entry in found):
        click.echo("What you distribute together with GPL libraries is under the terms of the GPL.")


def _program() -> Iterator[Licence]:
    from deepclarity.version import __version__

    yield Licence("program", _PROJECT, __version__, "Apache-2.0")


def _weights() -> Iterator[Licence]:
    from deepclarity.models.weights import read_manifest

    for record in read_manifest().values():
        yield Licence("weights", record.name, "-", record.licence, f"trained on {record.trained_on}")


def _libraries() -> Iterator[Licence]:
    """Every installed library that the project needs, directly or not, and the libraries in their wheels."""
    installed = sorted(_installed(_PROJECT, set()), key=lambda each: each.name.lower())
    for distribution in installed:
        yield Licence("library", distribution.name, distribution.version, _licence(distribution))
    for distribution in installed:
        names = {file.name for file in distribution.files or ()}
        for start, (title, licence) in _BUNDLED.items():
            if any(name.startswith(start) and ".so" in name for name in names):
                yield Licence("bundled", title, "-", licence, f"in {distribution.name}")


def _installed(name: str, seen: set[str]) -> Iterator[metadata.Distribution]:
    """The distributions that `name` requires and that are installed."""
    seen.add(_normalised(name))
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return
    if name != _PROJECT:
        yield distribution
    for requirement in distribution.requires or ():
        package, _, marker = requirement.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", marker)
        if extra and (name != _PROJECT or extra[1] in _TOOLS):
            continue
        needed = re.match(r"[\w.-]+", package.strip())
        if needed and _normalised(needed[0]) not in seen:
            yield from _installed(needed[0], seen)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(distribution: metadata.Distribution) -> str:
    """The SPDX expression, else the text of the field `License` if it is short, else the classifiers."""
    fields = distribution.metadata
    for expression in fields.get_all("License-Expression") or ():
        return str(expression)
    short = " ".join(" ".join(fields.get_all("License") or ()).split())
    if 0 < len(short) <= 40:
        return short
    classifiers = fields.get_all("Classifier") or []
    named = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    return ", ".join(named) or "not stated"
