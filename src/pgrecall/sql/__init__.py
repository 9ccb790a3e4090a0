"""SQL text and its arguments, made from values. Nothing here talks to a server."""
