"""Request validation: who may ask, how much, and what an upload may be."""
