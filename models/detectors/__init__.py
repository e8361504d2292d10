"""Detectors, one per method; `load_detector` finds them by name."""
