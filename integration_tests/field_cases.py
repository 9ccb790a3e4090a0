"""Metadata, and what the columns of promoted fields hold of it."""

import json
from datetime import date
from decimal import Decimal

from pgrecall import Record, SearchOptions

FIELDS = {
    "year": int,
    "price": float,
    "lang": str,
    "at": date,
    "done": bool,
    "tags": list[str],
    "author.name": str,
    r"a\.b": int,
}
NAMES = ["year", "price", "lang", "at", "done", "tags", "author.name", "a.b"]
EMPTY = dict.fromkeys(NAMES)
FULL = {
    "year": 2020,
    "price": 1.5,
    "lang": "en",
    "at": "2024-05-01",
    "done": True,
    "tags": ["x", 1, None],
    "author": {"name": "Ann"},
    "a.b": 3,
}
CASES = [
    (FULL, {**FULL, "author.name": "Ann"}),
    ({}, {}),
    (dict.fromkeys(FULL), {}),
    ({"year": "2020", "price": True, "lang": 5, "at": 5, "done": "true", "tags": "x"}, {}),
    ({"year": [2020], "lang": {"a": "b"}, "done": 1, "tags": {"x": 1}, "author": ["name"], "a": {"b": 3}}, {}),
    ({"author": "name", "author.name": "Ann"}, {}),
    ({"author": {"name": ["Ann"], "names": "Ann"}}, {}),
    ({"lang": "", "tags": [], "done": False, "year": 0}, {"lang": "", "tags": [], "done": False, "year": 0}),
    ({"lang": "x" * 64, "at": "é" * 32}, {"lang": "x" * 64, "at": "é" * 32}),
    ({"lang": "x" * 65, "at": "é" * 33}, {}),
    ({"lang": "x" * 100_000, "tags": ["x" * 100_000]}, {"tags": ["x" * 100_000]}),
    ({"year": 10**39, "price": -(10**38)}, {"year": 10**39, "price": -(10**38)}),
    ({"year": 10**60}, {}),
    ({"price": Decimal("0." + "1" * 60)}, {}),
    ({"year": 1e300, "price": 5e-324}, {}),
    ({"year": 0.1, "price": 2**70}, {"year": Decimal("0.1"), "price": 2**70}),
    ({"lang": "'\"\\\n日本 $1 %s {c}"}, {"lang": "'\"\\\n日本 $1 %s {c}"}),
]


def columns_of(case):
    return {**EMPTY, **{name: value for name, value in case.items() if name in NAMES}}


EXPECTED = [columns_of(expected) for _, expected in CASES]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


async def stored(connection, table="docs", names=NAMES):
    """Return the columns of all rows, in the order of their ids."""
    rows = await connection.fetch(f"SELECT {', '.join(map(quoted, names))} FROM {table} ORDER BY id")
    found = [dict(row) for row in rows]
    for row in found:
        if row.get("tags") is not None:
            row["tags"] = json.loads(row["tags"])
    return found


def records(count=17, **changes):
    facts = {"embedding": [1, 2, 3], **changes}
    return [Record(id=f"{n:04}", metadata=CASES[n % len(CASES)][0], **facts) for n in range(count)]


def functions(database):
    return database.ask("SELECT count(*) FROM pg_proc WHERE proname LIKE 'pgrecall%'")


def by_codes(server):
    """Return the options of a search by the codes that go with fields; by whatever there is where pgvector has none."""
    return SearchOptions(access=None if server.lack(pgvector="0.7") else "covering")
