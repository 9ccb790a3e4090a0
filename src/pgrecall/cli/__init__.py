"""The ``pgrecall`` command. Rooms: `app` (puts it together), one a command, and what commands share.

Shared are `opening` (the options that all have, and what they open), `output` (tables for people, or JSON),
`progress`, `embedding` (how a model is named) and `errors` (exit codes, and what is never shown).

``sql`` is `definition`; ``demo`` has a floor of its own.
"""
