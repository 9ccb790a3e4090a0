"""Two tenants with the same ids, and what of the other one must never be seen or changed."""

import inspect
import re
from contextlib import asynccontextmanager

import asyncpg
import pytest

from pgrecall import AsyncClient, CollectionConfig, Record

SECRET = "of blue"
LOOKUPS = "SELECT relname FROM pg_class WHERE relname ~ '^pgrecall_(lookup|words|numbers)_' ORDER BY oid"
PEEK = (
    "CREATE FUNCTION pg_temp.peek(tid) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
    "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$"
)


def config(**more):
    given = {"name": "docs", "dimensions": 3, "fields": {"kind": str}, "text_search": "en", **more}
    return CollectionConfig(**given)


def record(row_id="a", owner="red", **more):
    number = int(row_id, 36)
    given = {"id": row_id, "embedding": [1, 2, number], "content": f"a secret of {owner}", "document_id": "d"}
    return Record(**{**given, "chunk_index": number, "metadata": {"n": 1, "kind": "x"}, **more})


def own(owner, ids="ab"):
    return [record(row_id, owner) for row_id in ids]


def role_of(url):
    return re.search(r"//([^:/@]+)[:@]", url).group(1)


@asynccontextmanager
async def roles(database, settings):
    """Give the URL of the role that owns the collection of *settings*, and of the one that may only use it."""
    boss = database.role("GRANT CREATE ON SCHEMA public TO {role}")
    runtime = database.role()
    async with AsyncClient(boss) as client:
        docs = await client.get_or_create_collection(settings)
        await docs.grant(role_of(runtime))
        yield boss, runtime
    database.execute("DROP OWNED BY " + ", ".join(map(role_of, (runtime, boss))) + " CASCADE")


@asynccontextmanager
async def looked_up(database, settings):
    """Give the URLs of owner and runtime role of a collection that a superuser has secured, and its lookups' names."""
    async with roles(database, settings) as (boss, runtime):
        assert database.rows(LOOKUPS) == []
        async with AsyncClient(database.url) as admin, AsyncClient(boss) as owner:
            for _ in range(2):
                await admin.collection(settings).secure()
            # Who owns the table gives the right to use what a superuser has made beside it.
            await owner.collection(settings).grant(role_of(runtime))
        yield boss, runtime, [row[0] for row in database.rows(LOOKUPS)]


@asynccontextmanager
async def prying(url):
    """Give a connection, and the list of what the function of `PEEK` tells there that it is asked about."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    heard = []
    connection.add_log_listener(lambda _, message: heard.append(message.message))
    try:
        yield connection, heard
    finally:
        await connection.close()


async def check_closed(connection, name, nothing, wanted):
    """Check that a lookup shows nothing after statements that name no domain, whatever is wanted; let it be pried."""
    for statement in nothing:
        await connection.execute(statement)
        for one in wanted:
            await connection.execute(one)
            assert await connection.fetch(f"SELECT * FROM {name}") == [], (statement, one)
    # What a session has made for itself is gone after DISCARD ALL.
    await connection.execute(PEEK)


async def check_fixed(connection, name):
    """Check that a lookup is nobody's to change who may use it."""
    for statement in (
        f"DELETE FROM {name}",
        f"SELECT * FROM {name} FOR UPDATE",
        f"ALTER VIEW {name} SET (security_barrier = false)",
        f"ALTER VIEW {name} OWNER TO CURRENT_USER",
        f"CREATE OR REPLACE VIEW {name} AS SELECT ctid AS place FROM docs",
        f"CREATE RULE mine AS ON INSERT TO {name} DO INSTEAD NOTHING",
        f"DROP VIEW {name}",
    ):
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
            await connection.execute(statement)


def everything_of(database, domain):
    """Return all rows of a domain in all tables, as a superuser sees them."""
    tables = [row[0] for row in database.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    tables = [name for name in tables if name in ("docs", "pgrecall_ledger", "pgrecall_runs", "pgrecall_values")]
    return {
        name: sorted(row[0] for row in database.rows(f"SELECT t::text FROM {name} AS t WHERE domain_id = '{domain}'"))
        for name in tables
    }


def verbs(kind, beyond=()):
    """Return the public methods of a class, but those that it has from *beyond*."""
    return {
        name
        for name, value in inspect.getmembers(kind, callable)
        if not name.startswith("_") and not any(name in dir(other) for other in beyond) and not inspect.isclass(value)
    }


def shown(value):
    """Return all that a caller can see of an answer."""
    found = [repr(value)]
    if isinstance(value, list | tuple):
        found += map(shown, value)
    if hasattr(value, "__dict__") and not isinstance(value, type):
        found += [repr(part) for name, part in vars(value).items() if not name.startswith("_")]
    return "\n".join(found)
