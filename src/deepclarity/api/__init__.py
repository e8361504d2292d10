"""Implementation of the public Python API. Import its names from `deepclarity` itself."""
