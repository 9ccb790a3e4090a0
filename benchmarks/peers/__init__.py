"""Other stores on pgvector, each with what it comes with, in an environment of their own."""
