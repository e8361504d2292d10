"""Presets and training recipes, as flat TOML files."""
