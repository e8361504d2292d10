"""Fixtures of the command-line tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MakeClip


@pytest.fixture
def clip(make_clip: MakeClip) -> Path:
    """Four small frames."""
    return make_clip(count=4, size=(64, 36))
