"""``pgrecall collections`` and ``pgrecall aliases``: what collections are called, and what points to them."""

from __future__ import annotations

from typing import Annotated

import typer

from pgrecall.cli.opening import Opened, YesOption, on_database

CollectionName = Annotated[
    str, typer.Argument(metavar="COLLECTION", help="The collection, by the name of its table.", show_default=False)
]
AliasName = Annotated[str, typer.Argument(metavar="ALIAS", help="The alias.", show_default=False)]


@on_database
def list_collections(
    opened: Opened,
    every: Annotated[
        bool, typer.Option("--adoptable", help="All tables with a column of embeddings, whoever made them.")
    ] = False,
) -> None:
    """Show the collections that pgrecall has made."""
    client, schema = opened.client, opened.schema
    names = client.list_vector_tables(schema=schema) if every else client.list_collections(schema=schema)
    if opened.output.json:
        opened.output.document({"collections": names})
        return
    for name in names:
        opened.output.text(name)


@on_database
def rename_collection(
    opened: Opened,
    name: CollectionName,
    to: Annotated[str, typer.Argument(metavar="NAME", help="Its new name.", show_default=False)],
) -> None:
    """Rename a collection."""
    opened.client.rename_collection(name, to, schema=opened.schema)
    if opened.output.json:
        opened.output.document({"renamed": name, "to": to})
    else:
        opened.output.text(f"{name} is {to}")


@on_database
def delete_collection(opened: Opened, name: CollectionName, yes: YesOption = False) -> None:
    """Drop a collection that pgrecall has made, with all its rows, of all domains."""
    opened.output.confirm(f"Drop {opened.schema}.{name} with all its rows, of all domains?", yes=yes)
    opened.client.delete_collection(name, schema=opened.schema)
    if opened.output.json:
        opened.output.document({"dropped": name})
    else:
        opened.output.text(f"{name} is dropped")


@on_database
def list_aliases(opened: Opened) -> None:
    """Show the aliases, and where each points to."""
    found = opened.client.list_aliases(schema=opened.schema)
    if opened.output.json:
        opened.output.document({"aliases": found})
    elif found:
        opened.output.table(("alias", "collection"), sorted(found.items()))


@on_database
def create_alias(opened: Opened, alias: AliasName, name: CollectionName) -> None:
    """Have a name point to a collection."""
    opened.client.create_alias(alias, name, schema=opened.schema)
    _pointed(opened, alias, name, None)


@on_database
def switch_alias(opened: Opened, alias: AliasName, name: CollectionName) -> None:
    """Point an alias to another collection, in one moment for everybody; it says where it pointed before."""
    _pointed(opened, alias, name, opened.client.switch_alias(alias, name, schema=opened.schema))


@on_database
def drop_alias(opened: Opened, alias: AliasName) -> None:
    """Forget an alias; the collection stays."""
    opened.client.drop_alias(alias, schema=opened.schema)
    if opened.output.json:
        opened.output.document({"dropped": alias})
    else:
        opened.output.text(f"alias {alias} is dropped")


def _pointed(opened: Opened, alias: str, name: str, before: str | None) -> None:
    if opened.output.json:
        opened.output.document({"alias": alias, "collection": name, "before": before})
    else:
        opened.output.text(f"{alias} points to {name}" + (f", and to {before} before" if before else ""))
