"""Functions of samples: summaries, correlations, tests, transforms and kernel densities."""
