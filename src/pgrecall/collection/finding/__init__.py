"""Reading rows: by what their embeddings and texts are near to, by their ids, by a filter."""
