"""``python -m pgrecall`` is the command ``pgrecall``."""

from __future__ import annotations

from pgrecall.cli.app import main

if __name__ == "__main__":
    main()
