"""RESULTS.md and its plots, made from the JSON of one run and nothing else."""
