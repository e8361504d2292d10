"""Command modules, one per command."""
