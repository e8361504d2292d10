"""Evaluation of enhancers and detectors."""
