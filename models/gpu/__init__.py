"""Repair on an NVIDIA GPU: streams, kernels and batched networks. Imported only where a GPU is used."""
