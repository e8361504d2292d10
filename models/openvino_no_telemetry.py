"""OpenVINO without its telemetry: imported by itself, it reports to its makers over the network.

Whatever needs OpenVINO takes `openvino` and its operators, `ops`, from this module.
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # then OpenVINO takes its own stub

import openvino  # noqa: E402  behind the line that it must not miss
from openvino import opset13 as ops  # noqa: E402

__all__ = ["openvino", "ops"]
