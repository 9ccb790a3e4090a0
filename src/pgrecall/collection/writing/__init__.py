"""Writing rows: whole, in part, by the document, and from one table into another."""
