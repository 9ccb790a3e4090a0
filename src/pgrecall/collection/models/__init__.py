"""The embeddings of several models in one table, and the change from one to the next."""
