"""Reports of a run: JSON, an HTML page, evidence pictures, plots."""
