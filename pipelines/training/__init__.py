"""Training runs: data, checkpoints, logs, export of the weights."""
