"""Temporary storage of uploads and results, and the disk quota."""
