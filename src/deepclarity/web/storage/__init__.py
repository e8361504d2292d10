"""Stored uploads and results, and the disk quota."""
