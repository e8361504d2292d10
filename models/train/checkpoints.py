"""Checkpoints: written whole or not at all, and only gone on from by the recipe that they were begun with."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch

from deepclarity.atomic_write import atomic_write
from deepclarity.errors import SourceError
from deepclarity.models.backends.checks import first_line

_FREE = frozenset({"checkpoint_s"})
"""What of a recipe may change between a checkpoint and its going on."""


class _Recipe(Protocol):
    @property
    def steps(self) -> int: ...


def write_checkpoint(path: Path, recipe: _Recipe, *, step: int, **parts: Any) -> None:
    """Write `parts`, which torch can pickle, beside the recipe, a dataclass, and the step."""
    content = io.BytesIO()
    torch.save({"recipe": asdict(recipe), "step": step, **parts}, content)  # type: ignore[call-overload]
    atomic_write(path, content.getvalue())


@contextlib.contextmanager
def opened_checkpoint(path: Path, recipe: _Recipe) -> Iterator[dict[str, Any]]:
    """What was written to `path` for the same recipe, on the CPU; SourceError says what differs, or does not fit.

    Errors that come up in using it are errors of the checkpoint as well.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's thoughts about a file that is none of its own
            # On the CPU: Adam's step counters must stay there, or each would be waited for in every step.
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        _check(state, recipe, path)
        yield state
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no checkpoint there to go on from. Begin without --resume.") from error
    except pickle.UnpicklingError as error:
        raise SourceError(f"{path}: not a checkpoint that can be used; begin without --resume, elsewhere") from error
    except (OSError, RuntimeError, LookupError, AttributeError, ValueError, EOFError, TypeError) as error:
        reason = first_line(error)
        raise SourceError(
            f"{path}: not a checkpoint that can be used ({reason}); begin without --resume, elsewhere"
        ) from error


def _check(state: Mapping[str, Any], recipe: _Recipe, path: Path) -> None:
    if differs := _first_difference(state["recipe"], asdict(recipe)):  # type: ignore[call-overload]
        raise SourceError(f"{path}: was begun with another {differs}. Begin without --resume, in another --out.")
    if not isinstance(state["step"], int) or not 0 <= state["step"] <= recipe.steps:
        raise SourceError(f"{path}: step {state['step']} is none of this recipe's. Begin without --resume, elsewhere.")


def _first_difference(kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first thing in which two recipes differ, with both values."""
    for key in sorted(kept.keys() | wanted.keys()):
        if key not in _FREE and kept.get(key) != wanted.get(key):
            return f"'{key}': {kept.get(key)}, not {wanted.get(key)}"
    return None
