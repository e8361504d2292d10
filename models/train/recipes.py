"""Flat TOML onto a frozen dataclass: every key must be there, and none beside them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from deepclarity.errors import UsageError, did_you_mean

Recipe = TypeVar("Recipe")

_KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}


def read_table(text: str, *, where: str) -> dict[str, Any]:
    """TOML as a table; UsageError where it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where}: not a readable recipe ({error})") from error


def parse_flat(text: str, kind: type[Recipe], *, where: str) -> Recipe:
    """The dataclass `kind` of int, float, str, bool and tuples of them from TOML `text`.

    A key that is missing, unknown or of another type is a UsageError that names it.
    """
    table = read_table(text, where=where)
    known = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: unknown key '{key}'; {did_you_mean(key, known)}")
    if missing := sorted(known.keys() - table.keys()):
        raise UsageError(f"{where}: '{missing[0]}' is missing")
    return kind(**{key: _converted(key, table[key], named, where) for key, named in known.items()})


def check_word(recipe: object, key: str, known: tuple[str, ...], *, where: str) -> None:
    """Raise UsageError where `key` is none of the `known` words."""
    value = getattr(recipe, key)
    if value not in known:
        raise UsageError(f"{where}: no {key} '{value}'; {did_you_mean(value, known)}")


def check_bounds(recipe: object, bounds: Mapping[str, tuple[float, float]], *, where: str) -> None:
    """Raise UsageError where a number, or one of a pair that must ascend, lies outside of its (least, most)."""
    for key, (least, most) in bounds.items():
        value = getattr(recipe, key)
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(value, tuple) and (len(value) != 2 or value[0] > value[1]):
            raise UsageError(f"{where}: '{key}' must be [lowest, highest], not {list(value)}")
        if not all(least <= number <= most for number in values):
            raise UsageError(f"{where}: '{key}' must lie in {least}..{most}, not {value}")


def _converted(key: str, value: Any, kind: str, where: str) -> Any:
    listed = kind.startswith("tuple[")
    if listed != isinstance(value, list):
        raise UsageError(f"{where}: '{key}' must {'' if listed else 'not '}be a list")
    inner = kind.removeprefix("tuple[").split(",")[0].rstrip("]") if listed else kind
    for item in value if listed else [value]:
        if not isinstance(item, _KINDS[inner]) or (inner != "bool" and isinstance(item, bool)):
            raise UsageError(f"{where}: '{key}' must be of type {inner}, not {item!r}")
    return tuple(value) if listed else value
