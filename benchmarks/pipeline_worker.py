"""A process that `pipeline` starts: takes a numbered source in, to be killed, or embeds a collection anew."""

from __future__ import annotations

import asyncio
import sys
import zlib

import numpy as np

from pgrecall import AsyncClient, IngestOptions, Record, ReembedOptions

BATCH = 250
NEW_DIMENSIONS = 256


def embed(texts: list[str]) -> np.ndarray:
    """Return directions that follow from the texts alone."""
    return np.stack([np.random.default_rng(zlib.crc32(text.encode())).normal(size=NEW_DIMENSIONS) for text in texts])


async def load(url: str, table: str, count: int) -> None:
    """Write records without ids of their own, so that one that is repeated is a row more."""
    numbers = np.random.default_rng(5).normal(size=(count, 32)).astype(np.float32)
    source = (Record(embedding=numbers[n], content=f"item {n}") for n in range(count))
    async with AsyncClient(url) as client:
        await client.collection(table).ingest(
            source,
            run="load",
            options=IngestOptions(write_batch=BATCH),
            on_progress=lambda progress: print(progress["processed"], flush=True),
        )


async def reembed(url: str, table: str, share: float) -> None:
    """Embed a collection with another model."""
    options = ReembedOptions(sample=50, load=share)
    async with AsyncClient(url) as client:
        report = await client.collection(table).reembed(
            embed,
            model="new",
            options=options,
            on_progress=lambda p: print(f"{p.phase} {p.done} {p.seconds:.0f} s", flush=True),
        )
        print(str(report), flush=True)
        await client.collection(table).switch_model("new", max_missing=None)


if __name__ == "__main__":
    what, address, name, number = sys.argv[1:]
    asyncio.run(load(address, name, int(number)) if what == "load" else reembed(address, name, float(number)))
