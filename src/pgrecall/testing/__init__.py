"""Suites of tests that a store of a framework can be held against; they need pytest, and nothing else here does."""
