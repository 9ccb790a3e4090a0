"""``pgrecall demo``. Rooms: `command` (the workflow), and what it takes.

`corpus`, `python_docs`, `folder` and `chunks` are what is read, `lexical`, `models` and `bridge` how it is embedded,
`syncing` what is written, `asking` what is found and `report` what is shown.
"""
