"""The stores that are held side by side, in the order, the names and the colours that they have everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.page.document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One store.

    Attributes:
        key: The end of the keys of its figures.
        package: Name of the package; `None` for what is measured against, and for our own.
        title: What it is called where there is no package to name.
        colour: In plots.
        marker: In plots, for those who see no colours.
    """

    key: str
    package: str | None = None
    title: str = ""
    colour: str
    marker: str

    @property
    def load(self) -> str:
        """Key of the rate at which it loads."""
        return f"load.{self.key}"

    @property
    def upsert(self) -> str:
        """Key of the rate at which it changes rows."""
        return "upsert.changed" if self.key == "engine" else f"upsert.{self.key}"

    def setting(self, name: str) -> str:
        """Return the end of the keys of its searches with a setting of that name: ``default`` or ``matched``."""
        return self.key if self.package is None else f"{self.key}.{name}"

    def name(self, document: Document) -> str:
        """Return its name, with the version that was measured."""
        if self.package is None:
            return self.title
        return f"{self.package} {document.peers.get(self.package, '')}".strip()


RAW: Final = Store(key="raw", title="raw asyncpg", colour="#8c8c8c", marker="x")
ENGINE: Final = Store(key="engine", title="pgrecall", colour="#1f5fa8", marker="o")
OURS: Final = (
    ENGINE,
    Store(key="langchain", title="pgrecall through LangChain", colour="#5b8fd0", marker="h"),
    Store(key="llama_index", title="pgrecall through LlamaIndex", colour="#9dbde6", marker="p"),
)
PEERS: Final = (
    Store(key="vecs", package="vecs", colour="#e08214", marker="s"),
    Store(key="langchain_postgres", package="langchain-postgres", colour="#1b7837", marker="^"),
    Store(key="llama_index_postgres", package="llama-index-vector-stores-postgres", colour="#8e44ad", marker="D"),
)
ALL: Final = (RAW, *OURS, *PEERS)
