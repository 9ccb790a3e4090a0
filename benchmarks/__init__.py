"""Measurements of pgrecall: ``python -m benchmarks`` lists the questions that they answer."""
