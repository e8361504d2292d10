"""What a run of the upscale pipeline is asked to do."""
