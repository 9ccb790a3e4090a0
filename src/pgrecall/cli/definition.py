"""``pgrecall sql``: what makes a collection, printed for somebody who may run it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pgrecall.cli.errors import BadUsage, one_line_errors

_KINDS = ("text", "number", "boolean", "list", "time")


def sql(
    name: Annotated[str, typer.Argument(help="Name of the collection, which is that of its table.")],
    dimensions: Annotated[int, typer.Option(help="Length of the embeddings.")],
    *,
    schema: Annotated[str, typer.Option(help="Schema of the table.")] = "public",
    distance: Annotated[str | None, typer.Option(help="How embeddings are compared; cosine unless given.")] = None,
    vector_type: Annotated[str | None, typer.Option(help="vector, halfvec or bit; vector unless given.")] = None,
    id_type: Annotated[str, typer.Option(help="text or uuid.")] = "text",
    field: Annotated[
        list[str] | None,
        typer.Option(help="A metadata key with a column of its own, as key=text|number|boolean|time|list."),
    ] = None,
    text_search: Annotated[str | None, typer.Option(help="Language in which the content is searched by words.")] = None,
    index: Annotated[bool, typer.Option(help="Make the vector index too.")] = False,
    row_level_security: Annotated[bool, typer.Option(help="Have PostgreSQL itself keep domains apart.")] = False,
    role: Annotated[str | None, typer.Option(help="A role that is given what it needs to work on it.")] = None,
    create_role: Annotated[bool, typer.Option(help="Make that role too, without login.")] = False,
    read_only: Annotated[bool, typer.Option(help="Let that role only read.")] = False,
    beside: Annotated[bool, typer.Option(help="Make the tables that all collections of the schema share.")] = True,
    vector_schema: Annotated[str, typer.Option(help="Schema of the extension vector.")] = "public",
    debug: Annotated[bool, typer.Option(help="Show a traceback where it fails.")] = False,
) -> None:
    """Print the SQL that makes a collection, without connecting to anything: for psql -1 -f -, or to be read."""
    with one_line_errors(debug=debug):
        from pgrecall import CollectionConfig, Rights, collection_sql

        chosen: dict[str, Any] = {"distance": distance, "vector_type": vector_type, "id_type": id_type}
        config = CollectionConfig(
            name=name,
            dimensions=dimensions,
            schema=schema,
            fields=dict(map(_field, field or ())),
            text_search=text_search,
            index="auto" if index else None,
            row_level_security=row_level_security,
            **chosen,
        )
        if role is None and (create_role or read_only):
            msg = "--create-role and --read-only are about a role: name it with --role"
            raise BadUsage(msg)
        runtime = None if role is None else Rights(role=role, create=create_role, write=not read_only)
        typer.echo(collection_sql(config, runtime=runtime, beside=beside, vector_schema=vector_schema), nl=False)


def _field(given: str) -> tuple[str, str]:
    key, _, kind = given.rpartition("=")
    if not key or kind not in _KINDS:
        msg = f"--field wants key={'|'.join(_KINDS)}, not {given!r}"
        raise BadUsage(msg)
    return key, kind
