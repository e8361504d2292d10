"""What computes a network: one file a back end."""
