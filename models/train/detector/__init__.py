"""Training of the learned detectors."""
