"""Interlaced and telecined video: comb measure, field order, deinterlacing and inverse telecine."""
