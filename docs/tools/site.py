"""Hook of MkDocs: pages that lie elsewhere in the repository, a page of all commands, and links between them."""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[2]

PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/developers.md",
    "SECURITY.md": "project/security-policy.md",
    "weights/MODEL_CARD.md": "how/model-card.md",
    "weights/MODEL_CARD_DETECTORS.md": "how/model-card-detectors.md",
    "README.md": "index.md",
}
"""Files of the repository, and the pages that show them; the README has a page of its own."""

_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)")
_TABLE = re.compile(r"^\|.*\|$", re.MULTILINE)
_CODE = re.compile(r"`[^`]+`")
"""In a table, GitHub needs a backslash before a | in code, and MkDocs would show it."""


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are not in `docs/`."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        if page != "index.md":
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/commands.md", content="\n".join(commands_page())))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Point every link at a page of the site; of a file that has none, the text alone is left."""
    shown = page.file.src_uri
    tables = _TABLE.sub(lambda line: _CODE.sub(lambda code: code[0].replace("\\|", "|"), line[0]), markdown)
    return _LINK.sub(lambda link: _relinked(link, shown), tables)


def _relinked(link: re.Match[str], shown: str) -> str:
    text, (target, _, anchor) = link[1], link[2].partition("#")
    if not target or re.match(r"[a-z]+:", target):
        return link[0]
    places = {page: source for source, page in PAGES.items() if page != "index.md"}
    folder = posixpath.dirname(places.get(shown, f"docs/{shown}"))
    path = posixpath.normpath(posixpath.join(folder, target))
    inside = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
    if inside is None:
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{shown}: the link to {link[2]} leads nowhere")
        return text
    if path == "README.md" and anchor:
        anchor = ""
    relative = posixpath.relpath(inside, posixpath.dirname(shown) or ".")
    return f"[{text}]({relative}{'#' + anchor if anchor else ''})"


def commands_page() -> Iterator[str]:
    """The page of all commands, from the command line's own help."""
    from deepclarity.cli.app import cli

    yield from ("# Commands", "", "Generated from the command line's own help.", "")
    with click.Context(cli, info_name="deepclarity") as context:
        for name in cli.list_commands(context):
            command = cli.get_command(context, name)
            assert command is not None
            yield from _command(command, click.Context(command, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            assert part is not None
            yield from _command(part, click.Context(part, info_name=name, parent=context))
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (f"## {context.command_path.removeprefix('deepclarity ')}", "")
    yield from (f"`{context.command_path} {usage}`", "")
    yield from (*inspect.cleandoc((command.help or "").replace("\b", "")).splitlines(), "")
    yield from ("| option | |", "|---|---|")
    for option in command.params:
        record = option.get_help_record(context)
        if record is not None and isinstance(option, click.Option):
            yield f"| `{_cell(record[0])}` | {_cell(record[1])} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
