"""Makes it visible when the web app is not tested at all."""

from __future__ import annotations

import pytest

from tests.web.conftest import MISSING


def test_web_extra_is_installed() -> None:
    if MISSING:
        pytest.skip(f"THE WEB APP IS NOT TESTED: {', '.join(MISSING)} missing; pip install -e '.[dev]'")
