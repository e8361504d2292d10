"""The pipeline stages: detect, route, enhance; and the jobs built from them."""
