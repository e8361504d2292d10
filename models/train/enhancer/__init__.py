"""Training of the super-resolution tiers: network, losses, discriminator, training loop."""
