"""Back ends that run the enhancers: one module each."""
