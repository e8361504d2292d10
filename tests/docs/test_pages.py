"""The documentation names only what exists: commands, options, extras, pages. Quick; test_snippets.py runs it all."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator

import click
import pytest

from deepclarity.cli.app import cli
from tests.docs.blocks import ROOT, Block, blocks, commands, pages

BLOCKS = [block for page in pages() for block in blocks(page)]
SHELL = [block for block in BLOCKS if block.language in ("sh", "bash")]
INLINE = re.compile(r"(?<!`)`(deepclarity [a-z_]+[^`]*)`(?!`)")


def parsed(place: str, words: list[str]) -> None:
    """Fail, saying what to do, unless the command and its options exist and take such values."""
    context = click.Context(cli, info_name="deepclarity")
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            pytest.fail(f"{place}: there is no command '{words[0]}'. Correct the page.")
        context, command, words = click.Context(found, info_name=words[0], parent=context), found, words[1:]
    try:
        values, _, _ = command.make_parser(context).parse_args(args=list(words))
        for option in command.params:
            if option.name in values and not isinstance(option.type, click.Path | click.File):
                option.type_cast_value(context, values[option.name])
    except click.UsageError as error:
        pytest.fail(f"{place}: deepclarity {' '.join(words)}: {error.format_message()} Correct the page.")


def test_every_command_in_a_block_can_be_parsed() -> None:
    count = 0
    for block in SHELL:
        for number, line in block.lines():
            for words in commands(line):
                parsed(f"{block.page}:{number}", words)
                count += 1
    assert count > 60


def spans() -> Iterator[tuple[str, str]]:
    """(place, command) of each command in running text and tables."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for block in blocks(page):
            text = text.replace(block.text, "\n" * block.text.count("\n"))
        for found in INLINE.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{page.relative_to(ROOT).as_posix()}:{line}", found[1]


def test_every_command_in_running_text_has_options_that_exist() -> None:
    found = list(spans())
    assert len(found) > 10
    for place, text in found:
        words = text.split()[1:]
        known = _options(place, words)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert option in known, f"{place}: `{text}`: no option {option}. Correct the page."


def _options(place: str, words: list[str]) -> set[str]:
    command: click.Command | None = cli
    context = click.Context(cli, info_name="deepclarity")
    names = {"--help", "--version"}
    for word in words:
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z_]+", word):
            break
        command = command.get_command(context, word)
        assert command is not None, f"{place}: there is no command '{word}'. Correct the page."
    assert command is not None
    return names | {name for option in command.params for name in (*option.opts, *option.secondary_opts)}


def test_every_extra_that_is_installed_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for page in pages():
        for named in re.findall(r"install (?:-e )?'(?:deepclarity|\.)\[([\w,-]+)\]'", page.read_text(encoding="utf-8")):
            assert set(named.split(",")) <= extras.keys(), f"{page.name}: no extra '{named}' in pyproject.toml."


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=lambda b: b.place)
def test_every_snippet_is_python(block: Block) -> None:
    ast.parse(block.text, block.place)


def test_every_block_says_its_language_and_why_it_is_not_run() -> None:
    for block in BLOCKS:
        assert block.language or block.page == "CONTRIBUTING.md", (
            f"{block.place}: write the language behind ```: sh, python, toml, yaml, text."
        )
        assert block.not_run is None or len(block.not_run) > 8, f"{block.place}: say why it is not run."
        if block.language == "toml":
            tomllib.loads(block.text)


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"^ +- .*?:? ?([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages_there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    missing = sorted(pages_there - listed)
    assert not missing, f"add a line for {', '.join(missing)} under `nav:` in mkdocs.yml, or it cannot be found."


def test_every_link_to_a_file_leads_somewhere() -> None:
    for page in pages():
        text = re.sub(r"```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)\s]*\)", text):
            generated = {"reference/commands.md", "project/changelog.md", "project/developers.md"}
            if re.match(r"[a-z]+:", target) or any(target.endswith(page) for page in generated):
                continue
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: the link to {target} leads nowhere."
