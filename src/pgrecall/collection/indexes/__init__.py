"""Indexes, and the columns that are there for them, made and kept beside readers and writers."""
