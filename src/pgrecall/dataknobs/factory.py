"""`VectorStoreFactory`: a store from its options."""

from __future__ import annotations

from typing import Any, Final

from pgrecall.dataknobs.store import PgVectorStore
from pgrecall.errors import ConfigError

_NAMES: Final = ("pgvector", "postgresql")


class VectorStoreFactory:
    """Makes stores from options, as dataknobs' own factory does for its pgvector backend.

    Example:
        >>> store = VectorStoreFactory().create(backend="pgvector", dimensions=768)
    """

    def create(self, *, backend: str = "pgvector", **config: Any) -> PgVectorStore:
        """Return a store; nothing is connected yet.

        Args:
            backend: ``"pgvector"``, or ``"postgresql"``, in upper or lower case.
            **config: The options of `PgVectorStore`.

        Raises:
            ConfigError: The backend is another one, or an option is wrong.
            MissingDependency: asyncpg is not installed.
        """
        if not isinstance(backend, str) or backend.lower() not in _NAMES:
            msg = f"backend {backend!r} is not here; pgrecall.dataknobs has {' and '.join(_NAMES)}, which are the same"
            raise ConfigError(msg)
        return PgVectorStore(config)

    def get_backend_info(self, backend_type: str) -> dict[str, Any]:
        """Return what there is to say about a backend; of an unknown one, that it is unknown."""
        if backend_type.lower() not in _NAMES:
            return {"description": "Unknown backend", "error": f"Backend '{backend_type}' not recognized"}
        return {
            "description": "PostgreSQL with pgvector",
            "persistent": True,
            "requires_install": False,
            "config_options": PgVectorStore.describe_options(),
        }


vector_store_factory: Final = VectorStoreFactory()
"""The factory that a registry of factories is given."""
