"""Batches: folders and lists of videos and pictures, repaired by worker processes into a mirrored tree."""
