"""The ``pgrecall`` command. Rooms: `app` (puts it together), `errors` (exit codes), and one a command.

``demo`` is the workflow of `demo`, with `corpus`, `python_docs`, `folder` and `chunks` (what is read),
`lexical`, `models` and `bridge` (how it is embedded), `syncing` (what is written), `asking` (what is found)
and `report` (what is shown).

``sql`` is `definition`.
"""
