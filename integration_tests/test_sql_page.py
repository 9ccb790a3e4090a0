"""docs/reference/sql.md shows what the engine really sends. `PGRECALL_WRITE_SQL_PAGE=1` has the page written anew."""

import asyncio
import os
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from pgrecall import HNSW, AsyncClient, CollectionConfig, PoolConfig, Record, RecordBatch, SearchOptions, collection_sql

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "sql.md"
MARK = "<!-- What follows is written by integration_tests/test_sql_page.py. -->\n"
CONFIG = CollectionConfig(name="notes", dimensions=3, fields={"year": int}, text_search="english")
SECURED = CollectionConfig(name="secrets", dimensions=3, row_level_security=True)
QUERY = [1, 0, 0]
ROWS = 3_000
CLAUSES = re.compile(r'(?<!CROSS) (?=(?:FROM|WHERE|ORDER BY|GROUP BY|CROSS JOIN|JOIN|ON CONFLICT)\b|SET ")')


def verbs(notes, secrets, new):
    """What is shown: a heading, a call, and how it is made; `new` gives a record that was never written."""
    exact, iterative, covering = ({"options": SearchOptions(access=a)} for a in ("exact", "iterative", "covering"))
    partly = {"filter": {"lang": "de"}}
    return {
        "Search": {
            "`search(embedding, 5)`, by the index": lambda: notes.search(
                QUERY, 5, options=SearchOptions(access="index")
            ),
            '`search(…, filter={"year": 2004})`, with a promoted field, exact': lambda: notes.search(
                QUERY, 5, filter={"year": 2004}, **exact
            ),
            '`search(…, filter={"lang": "de"})`, with JSON, exact': lambda: notes.search(QUERY, 5, **partly, **exact),
            '`search(…, filter={"lang": "de"})`, iterative': lambda: notes.search(QUERY, 5, **partly, **iterative),
            '`search(…, filter={"year": 2004})`, covering': lambda: notes.search(
                QUERY, 5, filter={"year": 2004}, **covering
            ),
            "`search(…)` under row-level security": lambda: secrets.search(QUERY, 5),
            '`search_keyword("hello", 5)`': lambda: notes.search_keyword("hello", 5),
            "`search_many([…, …], 5)`": lambda: notes.search_many([QUERY, QUERY], 5),
        },
        "Read": {
            '`get(["1"])`': lambda: notes.get(["1"]),
            '`count({"lang": "de"})`': lambda: notes.count({"lang": "de"}),
            "`list(limit=10)`": lambda: notes.list(limit=10),
            '`facet("lang")`': lambda: notes.facet("lang"),
        },
        "Write": {
            "`upsert([record])`": lambda: notes.upsert([new()]),
            "`upsert([record])`, of what is there already": lambda: notes.upsert([Record(id="0", embedding=QUERY)]),
            '`update(["1"], metadatas={…})`': lambda: notes.update(["1"], metadatas={"read": True}),
            '`delete(["1"])`': lambda: notes.delete(["1"]),
            '`delete(filter={"lang": "xx"})`': lambda: notes.delete(filter={"lang": "xx"}),
            "`upsert([record])` under row-level security": lambda: secrets.upsert([new()]),
        },
    }


def shown(statement):
    lines = CLAUSES.sub("\n", " ".join(statement.rstrip(";").split()) + ";").split("\n")
    wrap = {"width": 112, "break_long_words": False, "break_on_hyphens": False, "subsequent_indent": "    "}
    return "\n".join(textwrap.fill(line, **wrap) for line in lines)


async def test_page_shows_the_statements_that_are_sent(database, server):
    if not (server.version.startswith("18") and server.vector_version.startswith("0.8")):
        pytest.skip("the page shows what PostgreSQL 18 with pgvector 0.8 is sent")
    # A role that row-level security binds, as a superuser is not.
    written = await statements(database.role("GRANT CREATE ON SCHEMA public TO {role}"))
    before, _, found = PAGE.read_text().partition(MARK)
    if os.environ.get("PGRECALL_WRITE_SQL_PAGE"):
        PAGE.write_text(before + MARK + written)
    else:
        assert found.splitlines() == written.splitlines(), (
            "run this test with PGRECALL_WRITE_SQL_PAGE=1, and look at what has changed"
        )


async def statements(url):
    sent, numbers = [], iter(range(100))
    random = np.random.default_rng(1)
    async with AsyncClient(url, pool=PoolConfig(max_size=1)) as client:
        notes = await client.get_or_create_collection(CONFIG)
        secrets = await client.get_or_create_collection(SECURED)
        embeddings = random.normal(size=(ROWS, 3))
        metadatas = [{"year": 2000 + n % 20, "lang": "en" if n % 2 else "de"} for n in range(ROWS)]
        ids = [str(n) for n in range(ROWS)]
        contents = ["hello world"] * ROWS
        await notes.upsert(RecordBatch(ids=ids, embeddings=embeddings, contents=contents, metadatas=metadatas))
        await secrets.upsert([Record(id="1", embedding=QUERY)])
        await notes.upsert([Record(id="0", embedding=QUERY)])
        await notes.create_index(HNSW())

        async def listen(session):
            session.connection.add_query_logger(lambda record: sent.append(record.query))

        await client._database.run(listen)

        def new():
            number = next(numbers)
            return Record(id=f"new {number}", embedding=[1, 1, number])

        made = collection_sql(CollectionConfig(name="plain", dimensions=3, index=HNSW()), beside=False)
        parts = ["\n## Make a collection\n\n```postgresql\n" + "\n".join(map(shown, made.splitlines())) + "\n```\n"]
        for heading, calls in verbs(notes, secrets, new).items():
            parts.append(f"\n## {heading}\n")
            for title, call in calls.items():
                await call()  # the first time the server is also asked for what is known later
                await asyncio.sleep(0)
                sent.clear()
                await call()
                await asyncio.sleep(0)
                assert sent, title
                parts.append(f"\n{title}:\n\n```postgresql\n" + "\n".join(map(shown, sent)) + "\n```\n")
    return "".join(parts)
