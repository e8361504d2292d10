"""Says loudly when the web app is not tested at all."""

from __future__ import annotations

import pytest

from tests.web.conftest import MISSING


def test_the_extra_web_is_installed() -> None:
    if MISSING:
        pytest.skip(f"THE WEB APP GOES UNTESTED: {', '.join(MISSING)} missing; pip install -e '.[dev]'")
