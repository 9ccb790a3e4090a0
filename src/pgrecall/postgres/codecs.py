"""Binary codecs for the types that the driver does not know: vector, halfvec, sparsevec, bit and jsonb."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pgrecall import jsonb, sparse, vectors
from pgrecall.distance import VectorType

if TYPE_CHECKING:
    from asyncpg import Connection

    from pgrecall.server import Server

_JSONB_VERSION: Final = b"\x01"


async def register(connection: Connection, server: Server) -> None:
    """Register the codecs on *connection*.

    Arguments of vector types are values in pgvector's binary format (see `vectors.encode` and `sparse.encode`),
    those of jsonb JSON text as bytes. Results are arrays, mappings of index to weight, and what the JSON says.
    """
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_json_out, decoder=_json_in, format="binary")
    await connection.set_type_codec(
        "bit", schema="pg_catalog", encoder=bytes, decoder=_decoder(VectorType.BIT), format="binary"
    )
    if server.vector_version is None:
        return
    types = [VectorType.VECTOR, VectorType.HALFVEC] if server.has_halfvec else [VectorType.VECTOR]
    for vector_type in types:
        await connection.set_type_codec(
            vector_type.value,
            schema=server.vector_schema,
            encoder=_as_is,
            decoder=_decoder(vector_type),
            format="binary",
        )
    if server.has_halfvec:
        await connection.set_type_codec(
            "sparsevec", schema=server.vector_schema, encoder=_as_is, decoder=sparse.decode, format="binary"
        )


def _as_is(value: bytes | memoryview) -> bytes | memoryview:
    return value


def _json_out(value: bytes) -> bytes:
    return _JSONB_VERSION + value


def _json_in(data: bytes) -> Any:
    return jsonb.loads(data[1:])


def _decoder(vector_type: VectorType) -> Any:
    return lambda data: vectors.decode(data, vector_type)
