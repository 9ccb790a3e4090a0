"""Your own tables beside a collection: one transaction, a foreign key, and results joined with what you sell."""

import asyncio
import os

import asyncpg

from pgrecall import AsyncClient, CollectionConfig, Columns, Record, embedded
from pgrecall.cli.demo.lexical import DIMENSIONS, LexicalEmbeddings

URL = os.environ.get("PGRECALL_URL") or embedded.start().url
model = LexicalEmbeddings()  # put your embedding model here
PRODUCTS = [
    ("kettle", "Electric kettle of steel, boils a litre of water in two minutes", 39, 12),
    ("teapot", "Teapot of glass with a steel strainer, for a litre of tea", 24, 0),
    ("grinder", "Hand grinder for coffee beans, with a steel cone", 45, 5),
    ("scale", "Kitchen scale for flour, sugar and coffee, to the gram", 19, 30),
]
TABLES = """
    CREATE TABLE IF NOT EXISTS example_products (
        sku text PRIMARY KEY,
        price int NOT NULL,
        stock int NOT NULL
    );
    CREATE TABLE IF NOT EXISTS example_descriptions (
        id text PRIMARY KEY REFERENCES example_products (sku) ON DELETE CASCADE,
        content text NOT NULL,
        embedding vector(512) NOT NULL
    )
"""
# The collection is a table of your own, adopted as it is: its key refers to the product, so none is without one.
DESCRIPTIONS = CollectionConfig(
    name="example_descriptions",
    dimensions=DIMENSIONS,
    columns=Columns(domain_id=None, metadata=None),
    setup="validate",
)


async def main():
    connection = await asyncpg.connect(URL)
    async with AsyncClient(connection=connection) as client:  # everything goes over the application's connection
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        await connection.execute(TABLES)
        texts = client.collection(DESCRIPTIONS)

        async with connection.transaction():  # products and their descriptions: both, or neither
            for sku, _, price, stock in PRODUCTS:
                await connection.execute(
                    "INSERT INTO example_products VALUES ($1, $2, $3) ON CONFLICT (sku) DO UPDATE SET stock = $3",
                    sku,
                    price,
                    stock,
                )
            await texts.upsert([Record(id=s, embedding=model.embed_query(t), content=t) for s, t, *_ in PRODUCTS])

        async with connection.transaction(isolation="repeatable_read"):  # search and stock of one moment
            found = await texts.search(model.embed_query("something of steel for tea"), k=3)
            rows = await connection.fetch(
                "SELECT sku, score, price FROM unnest($1::text[], $2::float8[]) AS found (sku, score) "
                "JOIN example_products USING (sku) WHERE stock > 0 ORDER BY score DESC",
                [match.id for match in found],
                [match.score for match in found],
            )
        print([(row["sku"], round(row["score"], 2), row["price"]) for row in rows])

        await connection.execute("DELETE FROM example_products WHERE sku = 'scale'")  # takes its description with it
        print(await texts.count(), "descriptions are left")
    await connection.close()


asyncio.run(main())
