"""Whether a server is one that searches are fast and safe on: what it is, and is set to, judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pgrecall.collection.indexes.resources import SAFE_VERSION, usable_memory
from pgrecall.findings import Finding, fail, ok, warn
from pgrecall.postgres import condition, statistics

if TYPE_CHECKING:
    from pgrecall.postgres import Session
    from pgrecall.postgres.condition import ServerCondition
    from pgrecall.postgres.statistics import Limits
    from pgrecall.server import Server

_OLDEST_POSTGRES: Final = 140_000
_OLDEST_VECTOR: Final = (0, 6)
_ITERATIVE: Final = (0, 8)
_HIGH_PAGE_COST: Final = 2.0
_SHORT_TIMEOUT: Final = 10.0
_MANY_CONNECTIONS: Final = 0.8
_LONG_TRANSACTION: Final = 600.0
_MB: Final = 1024 * 1024


async def check_server(session: Session, schema: str) -> tuple[Finding, ...]:
    """See `AsyncClient.check`."""
    found = await condition.server_condition(session, schema)
    return tuple(judge_server(session.server, found, await statistics.limits(session), schema))


def judge_server(server: Server, found: ServerCondition, limits: Limits, schema: str) -> list[Finding]:
    """Return what is to be said of a server, the most important first."""
    return [
        _version(server),
        _vector(server, found),
        _rights(server, found, schema),
        *_connection(server, found),
        *_memory(found, limits),
        *_settings(server, found),
        _transactions(found),
    ]


def _version(server: Server) -> Finding:
    major, minor = divmod(server.version, 10_000)
    if server.version < _OLDEST_POSTGRES:
        return fail("PostgreSQL", f"{major}.{minor}", "pgrecall needs 14 or later")
    return ok("PostgreSQL", f"{major}.{minor}, database {server.database}")


def _vector(server: Server, found: ServerCondition) -> Finding:
    there, available = server.vector_version, found.available_vector
    if there is None:
        if available is None:
            return fail("pgvector", "the server does not have it", "install pgvector on the server's machine")
        advice = "have a superuser run CREATE EXTENSION vector; where the role may, pgrecall init does it"
        return fail("pgvector", f"not installed in this database; {available} is available", advice)
    version = ".".join(map(str, there))
    update = (
        f"{available} is available: ALTER EXTENSION vector UPDATE"
        if available is not None and _numbers(available) > there
        else "install a newer pgvector on the server's machine"
    )
    if there < _OLDEST_VECTOR:
        return fail("pgvector", version, f"pgrecall needs 0.6 or later; {update}")
    if there < _ITERATIVE:
        lacks = "no iterative scans (hnsw.iterative_scan), so that filtered searches compare all rows more often"
        return warn("pgvector", f"{version}: {lacks}", update)
    if there < SAFE_VERSION:
        return warn("pgvector", f"{version}: HNSW is not built in parallel, which is not safe before 0.8.2", update)
    return ok("pgvector", f"{version} in schema {server.vector_schema}, with iterative scans")


def _rights(server: Server, found: ServerCondition, schema: str) -> Finding:
    role = f"role {server.user}"
    if server.read_only:
        return warn(
            "rights", f"{role}: the server, or this connection, is read-only", "connect to the primary to write"
        )
    if found.can_create_table is None:
        if server.can_create_schema:
            return ok("rights", f"{role} may make the schema {schema}, which does not exist yet")
        have = f"{role} may not make the schema {schema}, which does not exist yet"
        return warn("rights", have, "have its owner run what pgrecall sql prints")
    if not found.can_create_table:
        have = f"{role} may not make tables in schema {schema}; collections that exist can be used"
        return warn("rights", have, "have its owner run what pgrecall sql prints")
    return ok("rights", f"{role} may make collections in schema {schema}")


def _connection(server: Server, found: ServerCondition) -> list[Finding]:
    used = f"{found.connections} of {found.max_connections} connections in use"
    findings = [
        warn("connections", used, "use a pooler, or smaller pools (PoolConfig), before new connections are refused")
        if found.connections > _MANY_CONNECTIONS * found.max_connections
        else ok("connections", used)
    ]
    if server.pooled:
        advice = "for pgrecall index, maintain and reembed connect to the server itself"
        findings.append(warn("pooler", "a pooler stands in between", advice))
    if found.encoding != "UTF8":
        advice = "make a database with ENCODING 'UTF8': other encodings cannot hold every text"
        findings.append(fail("encoding", found.encoding, advice))
    return findings


def _memory(found: ServerCondition, limits: Limits) -> list[Finding]:
    total, buffers = _size(found.index_bytes), _size(limits.buffers)
    findings: list[Finding] = []
    if found.index_bytes > limits.cache:
        have = f"vector indexes take {total}, and effective_cache_size is {_size(limits.cache)}"
        advice = "searches will wait for the disk: more memory, a quantized index, or a halfvec column"
        findings.append(warn("memory", have, advice))
    elif found.index_bytes > limits.buffers:
        have = f"vector indexes take {total}, and shared_buffers is {buffers}"
        findings.append(warn("memory", have, "set shared_buffers to about a quarter of the machine's memory"))
    else:
        findings.append(ok("memory", f"vector indexes take {total}, shared_buffers is {buffers}"))
    room = usable_memory(limits)
    if found.largest_index > room:
        have = f"the largest vector index takes {_size(found.largest_index)}, and its build gets {_size(room)}"
        findings.append(
            warn("builds", have, "raise maintenance_work_mem, or give pgrecall index create more with --memory")
        )
    elif limits.workers == 0 or limits.parallel == 0:
        have = f"max_parallel_maintenance_workers is {limits.workers}, max_parallel_workers {limits.parallel}"
        findings.append(warn("builds", have, "allow some, and indexes are built by several processes"))
    else:
        findings.append(ok("builds", f"up to {_size(room)} and {limits.workers} workers for an index"))
    return findings


def _settings(server: Server, found: ServerCondition) -> list[Finding]:
    findings: list[Finding] = []
    if server.random_page_cost > _HIGH_PAGE_COST:
        have = f"random_page_cost is {server.random_page_cost:g}: PostgreSQL prefers reading tables to using indexes"
        findings.append(warn("planner", have, f"ALTER ROLE {server.user} SET random_page_cost = 1.1"))
    if not found.autovacuum:
        advice = "set autovacuum and track_counts to on; until then run pgrecall maintain regularly"
        findings.append(warn("autovacuum", "off: dead rows and old statistics make searches slower and slower", advice))
    if not (found.fsync and found.full_page_writes):
        off = "fsync" if not found.fsync else "full_page_writes"
        findings.append(
            warn("durability", f"{off} is off: a crash of the machine can destroy the database", "set it on")
        )
    if 0 < found.statement_timeout < _SHORT_TIMEOUT:
        have = f"statement_timeout is {found.statement_timeout:g} s, which ends long searches and writes"
        findings.append(warn("timeout", have, "set it to more than your slowest search takes"))
    return findings or [ok("settings", "none that hurts")]


def _transactions(found: ServerCondition) -> Finding:
    seconds = found.oldest_transaction
    if seconds > _LONG_TRANSACTION:
        have = f"one has been open for {seconds / 60:,.0f} minutes, and keeps dead rows from being vacuumed"
        return warn("transactions", have, "end it: pg_stat_activity shows by xact_start whose it is")
    return ok("transactions", "none is open for long")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _size(count: int) -> str:
    return f"{count / _MB:,.0f} MB" if count >= _MB else f"{count / 1024:,.0f} kB"
