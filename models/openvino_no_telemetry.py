"""Imports OpenVINO with its telemetry disabled: a plain import contacts the vendor's statistics server.

All modules that need OpenVINO import `openvino` and its operators, `ops`, from here.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # makes OpenVINO use its own stub

import openvino  # noqa: E402  must follow the line above
from openvino import opset13 as ops  # noqa: E402

__all__ = ["openvino", "ops"]
