"""The same verbs for callers without an event loop: each runs its asynchronous twin on the portal."""
