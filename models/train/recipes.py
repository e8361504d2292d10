"""Parsing of training recipes: flat TOML into a frozen dataclass; every key is required, unknown keys are errors."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from deepclarity.errors import UsageError, did_you_mean

Recipe = TypeVar("Recipe")

_KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def read_table(text: str, *, where: str) -> dict[str, Any]:
    """Parse TOML; UsageError if it is invalid."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not a valid TOML recipe ({error})") from error


def parse_flat(text: str, kind: type[Recipe], *, where: str) -> Recipe:
    """Parse TOML `text` into the dataclass `kind`, whose fields are int, float, str, bool or tuples of them.

    A key that is missing, unknown or of the wrong type is a UsageError that names it.
    """
    table = read_table(text, where=where)
    types = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in types:
            raise UsageError(f"{where}: unknown key '{key}'; {did_you_mean(key, types)}")
    if missing := sorted(types.keys() - table.keys()):
        raise UsageError(f"{where}: '{missing[0]}' is missing")
    return kind(**{key: _converted(key, table[key], name, where) for key, name in types.items()})


def check_choice(recipe: object, key: str, choices: tuple[str, ...], *, where: str) -> None:
    """Raise UsageError unless the value of `key` is one of `choices`."""
    value = getattr(recipe, key)
    if value not in choices:
        raise UsageError(f"{where}: unknown {key} '{value}'; {did_you_mean(value, choices)}")


def check_bounds(recipe: object, bounds: Mapping[str, tuple[float, float]], *, where: str) -> None:
    """Raise UsageError if a number, or one of an ascending pair, lies outside its (minimum, maximum)."""
    for key, (minimum, maximum) in bounds.items():
        value = getattr(recipe, key)
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) and (len(value) != 2 or value[0] > value[1]):
            raise UsageError(f"{where}: '{key}' must be [lowest, highest], not {list(value)}")
        if not all(minimum <= number <= maximum for number in values):
            raise UsageError(f"{where}: '{key}' must lie in {minimum}..{maximum}, not {value}")


def _converted(key: str, value: Any, kind: str, where: str) -> Any:
    listed = kind.startswith("tuple[")
    if listed != isinstance(value, list):
        raise UsageError(f"{where}: '{key}' must {'' if listed else 'not '}be a list")
    inner = kind.removeprefix("tuple[").split(",")[0].rstrip("]") if listed else kind
    for item in value if listed else [value]:
        if not isinstance(item, _KINDS[inner]) or (inner != "bool" and isinstance(item, bool)):
            raise UsageError(f"{where}: '{key}' must be of type {inner}, not {item!r}")
    return tuple(value) if listed else value
