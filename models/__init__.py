"""Planes in, verdicts or planes out. Nothing here opens a file but weights."""
