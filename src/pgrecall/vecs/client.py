"""`create_client` and `Client`: connects to a database and gives out the collections in its schema ``vecs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pgrecall.checks import check_identifier
from pgrecall.collection import Client as Engine
from pgrecall.moving.tables import VECS_SCHEMA
from pgrecall.vecs.collection import Collection
from pgrecall.vecs.configuration import configuration
from pgrecall.vecs.exc import ArgError, CollectionNotFound, MismatchedDimension, translated

if TYPE_CHECKING:
    from types import TracebackType

    from pgrecall.vecs.adapter import Adapter


def create_client(connection_string: str | None = None) -> Client:
    """Return a client; nothing is connected before it is needed.

    Args:
        connection_string: ``postgresql://…``, with or without the name of a driver; `None` takes what
            `AsyncClient` takes.

    Raises:
        ArgError: The URL is malformed.
    """
    return Client(connection_string)


class Client:
    """A database, and the collections in its schema ``vecs``, each of which is a table there.

    Args:
        connection_string: See `create_client`.

    Example:
        >>> with create_client("postgresql://localhost/app") as vx:
        ...     docs = vx.get_or_create_collection("docs", dimension=3)
    """

    def __init__(self, connection_string: str | None = None) -> None:
        with translated():
            self.engine = Engine(connection_string)
        """The client that does the work."""

    def __repr__(self) -> str:
        return repr(self.engine).replace("<Client", "<vecs.Client", 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """Close all connections; the next use opens them again."""
        self.engine.close()

    def get_or_create_collection(
        self, name: str, *, dimension: int | None = None, adapter: Adapter | None = None
    ) -> Collection:
        """Return a collection, which is made if it does not exist; safe in many processes at once.

        Args:
            name: Name of the collection, and of its table.
            dimension: Length of the vectors; the adapter's, or that of the collection there is, unless given.
            adapter: What makes vectors of what is written and asked for.

        Raises:
            ArgError: It does not exist, and neither dimension nor adapter says how long its vectors are.
            MismatchedDimension: Dimension, adapter and the collection do not agree.
        """
        exported = None if adapter is None else adapter.exported_dimension
        if None not in (dimension, exported) and dimension != exported:
            msg = f"dimension={dimension} was given, but the adapter makes vectors of {exported}"
            raise MismatchedDimension(msg)
        wanted = dimension if dimension is not None else exported
        if wanted is None:
            wanted = self._dimension(name)
        if wanted is None:
            msg = f"collection {name!r} does not exist; to make it, pass dimension= or an adapter that has one"
            raise ArgError(msg)
        with translated():
            self.engine.get_or_create_collection(configuration(name, wanted))
        return Collection(name, wanted, self, adapter)

    def create_collection(self, name: str, dimension: int) -> Collection:
        """Make a collection and return it.

        Raises:
            CollectionAlreadyExists: There is a collection of this name.
        """
        with translated():
            self.engine.create_collection(configuration(name, dimension))
        return Collection(name, dimension, self)

    def get_collection(self, name: str) -> Collection:
        """Return a collection that exists.

        Raises:
            CollectionNotFound: There is none of this name; the message lists those there are.
        """
        dimension = self._dimension(name)
        if dimension is None:
            names = [collection.name for collection in self.list_collections()]
            msg = f"there is no collection {name!r}; there are {names}"
            raise CollectionNotFound(msg)
        return Collection(name, dimension, self)

    def list_collections(self) -> list[Collection]:
        """Return all collections, in the order of their names."""
        with translated():
            names = self.engine.list_vector_tables(schema=VECS_SCHEMA)
        found = ((name, self._dimension(name)) for name in names)
        return [Collection(name, dimension, self) for name, dimension in found if dimension is not None]

    def delete_collection(self, name: str) -> None:
        """Drop a collection with all its records; where there is none of this name, nothing is done."""
        if self._dimension(name) is None:
            return
        with translated():
            self.engine.delete_collection(name, schema=VECS_SCHEMA, adopted=True)

    def _dimension(self, name: str) -> int | None:
        """Return the dimensions of a collection; `None` where no table of this name is one."""
        with translated():
            check_identifier(name, "collection name")
            columns = {column.name: column for column in self.engine.describe_table(name, schema=VECS_SCHEMA)}
        if not {"id", "vec", "metadata"} <= columns.keys() or columns["vec"].type not in ("vector", "halfvec"):
            return None
        return columns["vec"].length
