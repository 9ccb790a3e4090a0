"""Two tenants with the same ids, and what of the other one must never be seen or changed."""

import inspect
import re
from contextlib import asynccontextmanager

from pgrecall import AsyncClient, CollectionConfig, Record

SECRET = "of blue"


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
