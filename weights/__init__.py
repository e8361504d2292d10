"""Trained weights, each recorded in `manifest.toml`."""
