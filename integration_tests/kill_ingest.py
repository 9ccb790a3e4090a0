"""A process that takes in a numbered source, to be killed: url, table, items, records of a batch."""

import asyncio
import sys

from pgrecall import AsyncClient, IngestOptions, Record


async def main(url, table, count, batch):
    async with AsyncClient(url) as client:
        source = (Record(embedding=[float(n + 1), 1.0], content=f"item {n}") for n in range(count))

        def tell(progress):
            print(progress["processed"], flush=True)

        docs = client.collection(table)
        report = await docs.ingest(source, run="load", options=IngestOptions(write_batch=batch), on_progress=tell)
        print("read", report.read, "resumed at", report.resumed_at, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
