"""Training checkpoints: written atomically, and resumed only with the recipe that they were started with."""

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

_MAY_DIFFER = frozenset({"checkpoint_s"})
"""Recipe keys that may change when a run is resumed."""


class _Recipe(Protocol):
    @property
    def steps(self) -> int: ...


def write_checkpoint(path: Path, recipe: _Recipe, *, step: int, **state: Any) -> None:
    """Write `state`, which torch must be able to pickle, with the recipe, a dataclass, and the step."""
    content = io.BytesIO()
    torch.save({"recipe": asdict(recipe), "step": step, **state}, content)  # type: ignore[call-overload]
    atomic_write(path, content.getvalue())


@contextlib.contextmanager
def open_checkpoint(path: Path, recipe: _Recipe) -> Iterator[dict[str, Any]]:
    """Load the checkpoint at `path`, on the CPU; SourceError if it is missing, damaged or of another recipe.

    Errors that the caller raises while using it are reported as errors of the checkpoint, too.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files that it did not write
            # On the CPU: Adam's step counters must stay there, or every step would wait for each of them.
            state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        _check(state, recipe, path)
        yield state
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{path}: no checkpoint to resume from. Start without --resume.") from error
    except pickle.UnpicklingError as error:
        raise SourceError(f"{path}: not a usable checkpoint. Start without --resume, in another --out.") from error
    except (OSError, RuntimeError, LookupError, AttributeError, ValueError, EOFError, TypeError) as error:
        reason = first_line(error)
        raise SourceError(
            f"{path}: not a usable checkpoint ({reason}). Start without --resume, in another --out."
        ) from error


def _check(state: Mapping[str, Any], recipe: _Recipe, path: Path) -> None:
    if difference := _first_difference(state["recipe"], asdict(recipe)):  # type: ignore[call-overload]
        raise SourceError(f"{path}: was started with another {difference}. Start without --resume, in another --out.")
    if not isinstance(state["step"], int) or not 0 <= state["step"] <= recipe.steps:
        raise SourceError(
            f"{path}: step {state['step']} is out of range for this recipe. Start without --resume, in another --out."
        )


def _first_difference(saved: Mapping[str, Any], current: Mapping[str, Any]) -> str | None:
    """The first key in which two recipes differ, with both values; None if they agree."""
    for key in sorted(saved.keys() | current.keys()):
        if key not in _MAY_DIFFER and saved.get(key) != current.get(key):
            return f"'{key}': {saved.get(key)}, not {current.get(key)}"
    return None
