"""Repair on an NVIDIA GPU: the executor that keeps several frames in flight, and its recovery from failures."""
