"""Tracks beside the video: what a container can hold, and conversion where copying cannot be."""
