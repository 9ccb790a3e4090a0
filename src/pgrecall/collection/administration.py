"""The verbs of `AsyncCollection` for whoever looks after a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pgrecall.build import BuildOptions
from pgrecall.checks import check_flag, check_instance, check_number
from pgrecall.collection import table_checks
from pgrecall.collection.finding.searching import Query
from pgrecall.collection.handle import Bound
from pgrecall.collection.indexes import automatic, indexing, maintenance, promoting, sparse_columns, text_columns
from pgrecall.collection.measuring.recall import recall
from pgrecall.collection.measuring.tuning import Aim, tune
from pgrecall.collection.writing import copying
from pgrecall.config import HNSW, IVFFlat
from pgrecall.progress import check_listener, own_errors
from pgrecall.text_search import TextSearch

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from pgrecall.build import ProgressLike
    from pgrecall.collection.blocking.collection import Collection
    from pgrecall.collection.collection import AsyncCollection
    from pgrecall.collection.indexes.maintenance import MaintenanceReport
    from pgrecall.collection.measuring.recall import RecallReport
    from pgrecall.collection.measuring.tuning_report import TuningReport
    from pgrecall.collection.writing.copying import CopyProgressLike, CopyReport
    from pgrecall.config import Index, SearchOptions
    from pgrecall.filters import Filter
    from pgrecall.findings import Finding
    from pgrecall.promoted import PromotedField
    from pgrecall.records import Embedding, Record
    from pgrecall.table import SparseColumn, VectorIndex
    from pgrecall.table_columns import TextColumn


class Administration(Bound):
    """What `AsyncCollection` does beside reading and writing."""

    async def create_index(
        self,
        index: Index | None = None,
        *,
        replace: bool = False,
        progress: ProgressLike = None,
        options: BuildOptions | None = None,
    ) -> VectorIndex:
        """Build the vector index, without blocking readers or writers, and return it.

        Any number of processes may ask at once; one of them builds. Where the same index exists, it is
        returned as it is. With promoted fields the indexes that filters on them need are built beside it,
        as far as they are missing, among them vector indexes of single large values; so is an HNSW index on the
        sparse embeddings, by inner product, where the table has a column for them.

        Args:
            index: Kind and parameters; HNSW with pgvector's defaults unless given.
            replace: Whether to build a new one in the place of what there is, which serves until then.
            progress: Called, for each index that is built, with an `IndexProgress` about twice a second, on
                the loop that builds, which it must not block; `True` shows a progress bar. What it raises
                ends the build, and is raised.
            options: Memory and workers of the build.

        Raises:
            ConfigError: pgvector cannot index this column so, the connection is not a direct one, or a
                progress bar was asked for and rich is not installed.
            SchemaError: There is another index, and *replace* was not given.
            IndexBuildError: PostgreSQL gave the build up.
            PermissionDenied: The role does not own the table.
        """
        check_instance(index, "index", HNSW | IVFFlat | None, "an HNSW or an IVFFlat")
        check_instance(options, "options", BuildOptions | None, "BuildOptions")
        check_flag(replace, "replace")
        check_listener(progress)
        with own_errors():
            return await indexing.create_index(
                self._handle, index or HNSW(), replace=replace, progress=progress, options=options
            )

    async def indexes(self) -> tuple[VectorIndex, ...]:
        """Return the vector indexes on the embedding, for whatever distance, as they are at this moment."""
        return await indexing.indexes(self._handle)

    async def build_due_index(self) -> None:
        """Have the index of `CollectionConfig.index` built in the background, if the rows are there and it is not.

        A write looks for that by itself; this is for when there are rows already. `wait_for_index` waits.
        """
        automatic.written(self._handle, 1)

    async def drop_index(self) -> tuple[str, ...]:
        """Drop the vector indexes of this collection's distance, and of sparse embeddings, and return their names."""
        return tuple(await indexing.drop_index(self._handle))

    async def wait_for_index(self, timeout: float | None = None) -> VectorIndex | None:  # noqa: ASYNC109 - as asked for
        """Wait until no index is being built, here or in another process, and return the one that serves searches.

        With ``CollectionConfig.index`` a collection builds its index by itself, in the background, after the
        write that made it worth it. Closing the client would give that build up.

        Args:
            timeout: Most seconds to wait; `None` for no limit.

        Returns:
            The index; `None` where there is none, because none is due yet, because its build failed, which
            was logged, or because it took longer than *timeout*.
        """
        if timeout is not None:
            check_number(timeout, "timeout", 0)
        return await automatic.wait(self._handle, timeout)

    async def check(self, *, k: int = 10, sample: int = 20) -> tuple[Finding, ...]:
        """Look at the collection, change nothing, and return what was found: what is well, and what to do otherwise.

        It looks at rights, columns and keys, row-level security, whether vector indexes are valid, suit the rows and
        are used, at dead rows and old statistics, and, with a sample, at how many of the nearest rows searches find
        in this handle's scope, as `recall` does. `AsyncClient.check` looks at the server.

        Args:
            k: Records wanted by the searches of the sample, 1 to 10,000.
            sample: How many stored embeddings to draw as queries, up to 10,000; each is searched for twice, once
                exactly. 0 searches for none.
        """
        return await table_checks.check(self._handle, k=k, sample=sample)

    async def maintain(self, *, dry_run: bool = False) -> MaintenanceReport:
        """Do what keeps the table and its indexes in shape, as far as it is needed, and return what that was.

        Many dead rows have the vector indexes built anew, and then the table vacuumed; fewer have it
        vacuumed. Statistics that are too old are taken anew, what builds that died have left is dropped, and
        with the extension pg_prewarm the vector indexes are read into memory. Readers and writers are never
        blocked. PostgreSQL's autovacuum does some of this by itself, so it is for times after many changes.

        Args:
            dry_run: Whether only to say what would be done.

        Raises:
            ConfigError: The connection is not a direct one.
            IndexBuildError: An index could not be built anew.
            PermissionDenied: The role does not own the table.
        """
        check_flag(dry_run, "dry_run")
        return await maintenance.maintain(self._handle, dry_run=dry_run)

    async def add_fields(self, fields: Mapping[str, Any]) -> tuple[PromotedField, ...]:
        """Give metadata keys typed, indexed columns of their own, and return all that there are.

        Readers and writers carry on. The rows that are there are filled in a few at a time; from then on
        filters use the columns by themselves. Fields that exist already are left as they are, and a call
        that was interrupted is finished by calling again.

        Args:
            fields: Keys, as filters name them, and types: ``{"year": int, "tags": list[str]}``.

        Raises:
            ConfigError: A key cannot be the name of a column, a type is not known, or there are too many.
            SchemaError: A field exists with another type, or the table has a column of its name.
            PermissionDenied: The role does not own the table.
        """
        return await promoting.add_fields(self._handle, fields)

    async def add_text_search(
        self, text_search: TextSearch | str = "english", *, progress: ProgressLike = None
    ) -> TextColumn:
        """Have the content searched by its words, with a column and an index of its own, and return the column.

        Readers and writers carry on. The rows that are there are filled in a few at a time; a call that was
        interrupted is finished by calling again, and where all is there already nothing is done. A tsvector
        column that an adopted table has is indexed, if no index serves it, and used as its owner keeps it.

        Args:
            text_search: Language of the texts, or all there is to say about them.
            progress: Called while the index is built; see `create_index`.

        Raises:
            ConfigError: The database has no such language.
            SchemaError: The table has no content, a column of that name, or texts that were read in another
                language.
            PermissionDenied: The role does not own the table.
        """
        words = TextSearch.of(text_search) or TextSearch()
        with own_errors():
            return await text_columns.add_text_search(self._handle, words, progress=progress)

    async def add_sparse_embeddings(self, dimensions: int) -> SparseColumn:
        """Have records take a sparse embedding too, in a column of its own, and return the column.

        No row is touched, so it takes milliseconds, whatever the size of the table; readers and writers carry
        on. Records have no sparse embedding until they are written with one. `create_index` then indexes the
        column too. Where it is there already nothing is done.

        Args:
            dimensions: Size of the encoder's vocabulary, 1 to 1,000,000,000.

        Raises:
            ConfigError: *dimensions* is out of range, or ``Columns(sparse_embedding=None)`` maps no column.
            DimensionMismatch: There are sparse embeddings of another number of dimensions.
            SchemaError: pgvector is older than 0.7.
            PermissionDenied: The role does not own the table.
        """
        return await sparse_columns.add_sparse_embeddings(self._handle, dimensions)

    async def copy_to(
        self,
        target: AsyncCollection | Collection,
        *,
        batch_size: int = copying.DEFAULT_PAGE,
        after: str | None = None,
        verify: bool = True,
        convert: Callable[[Record], Record] | None = None,
        progress: CopyProgressLike = None,
    ) -> CopyReport:
        """Copy the records of this handle's scope into another collection, in whatever database, and check them.

        They are read in the order of their ids, a page at a time, and upserted, so that what is there just as it
        is stays untouched, and a copy that was interrupted is finished by calling again. Each page is one
        transaction, read back, and held against what was read: ids, content, metadata, document and place in it,
        envelope, and embeddings, sparse ones too, bit by bit (as half precision where the target holds that).

        A target of one domain takes all records into it; a target of all domains keeps the domain of each. The
        time of creation goes along where both tables have it.

        Records that are written to the source meanwhile are copied if their ids come behind the place that the
        copy has reached, and what is deleted there is not deleted in the target. To switch over, stop the
        writers and copy once more.

        Args:
            target: Where to; it is made if it does not exist, at the first page.
            batch_size: Records of a page, 1 to 10,000; no more than two pages are in memory.
            after: Where to begin: the ``after`` of a report, or of a progress.
            verify: Whether to read back what was written.
            convert: Makes of each record that is read the one that is written. Its domain stays, and so does its
                id where that is `None`; another one must be the same whenever the record is copied.
            progress: Called with a `CopyProgress` after each page, on the loop that copies, which it must not
                block; `True` shows a progress bar. What it raises ends the copy, and is raised.

        Raises:
            ConfigError: The source is of all domains and the target of one, or they are the same.
            CopyMismatch: Records are not stored as they were read; the message names the first of them.
            RecordError: A record cannot be stored in the target: it has no embedding, or an id, or metadata,
                that the target's columns do not take. The message names it.
            DimensionMismatch: An embedding has another length than the target's.
            SchemaError: The source has no unique key that it could be read in the order of.
        """
        into: Administration = cast("Administration", getattr(target, "asynchronous", target))
        check_instance(into, "target", Administration, "a collection")
        check_flag(verify, "verify")
        check_listener(progress)
        wanted = copying.Copying(batch_size=batch_size, after=after, verify=verify, convert=convert, progress=progress)
        return await copying.copy(self._handle, into._handle, wanted)

    async def recall(
        self,
        k: int = 10,
        *,
        sample: int = 100,
        filter: Filter | Mapping[str, Any] | None = None,
        queries: NDArray[Any] | Sequence[Embedding] | None = None,
        options: SearchOptions | None = None,
    ) -> RecallReport:
        """Hold live answers against exact ones, all of one moment, and return how many of the nearest they found.

        Queries like those that users ask tell most. Where none are given, stored embeddings are drawn at
        random from this handle's scope. A stored embedding finds its own row first, which would flatter, so
        that row is left out of both answers; still, stored rows are a little easier to find than what
        users ask for. A row that is as near as the k-th nearest is as good.

        Each query is searched for twice, once exactly, which on a large table takes its time. Times are
        those of the statements with their round trip, after one search to warm up.

        Args:
            k: Records wanted, 1 to 10,000.
            sample: How many queries to draw, up to 10,000; fewer where there are fewer records.
            filter: Which metadata the records found must have.
            queries: Shape ``(n, d)``: what to ask instead; all of them are asked.
            options: Overrides of the planner for the live searches.

        Raises:
            ConfigError: There is nothing to draw queries from, or a transaction of the caller's is open in
                which statements see what others commit.
            FilterError: The filter is malformed.
        """
        return await recall(self._handle, Query.of((), k, filter, options), sample=sample, queries=queries)

    async def tune(
        self,
        target: float = 0.98,
        *,
        k: int = 10,
        sample: int = 100,
        queries: NDArray[Any] | Sequence[Embedding] | None = None,
        plot: str | os.PathLike[str] | None = None,
    ) -> TuningReport:
        """Find the smallest ``ef_search`` or ``probes`` with which unfiltered searches find enough, and keep it.

        Values are tried in ascending order until one reaches the target; recall and times are measured as
        `recall` does. The value is noted with the table: all searches in all domains begin with it, in other
        processes within half a minute, unless they say otherwise in their `SearchOptions`. Where no value
        reaches the target, everything stays as it was.

        Args:
            target: The recall to reach, above 0 and up to 1.
            k: Records wanted, 1 to 10,000.
            sample: How many stored embeddings to draw as queries.
            queries: Shape ``(n, d)``: what to ask instead.
            plot: Where to write a picture of the curve, a .svg, .png or .pdf; needs matplotlib.

        Raises:
            ConfigError: There is no vector index, or searches in this scope do not use it; nothing to draw
                queries from; matplotlib is missing.
            SchemaError: The table was not made by pgrecall, so that nothing can be noted with it.
            PermissionDenied: The role does not own the table.
        """
        return await tune(self._handle, Aim(target=target, sample=sample, queries=queries, plot=plot), k)
