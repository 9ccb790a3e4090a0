"""``pgrecall domains``: whole domains of a collection are looked at, moved, copied, renamed and deleted."""

from __future__ import annotations

from typing import Annotated

import typer

from pgrecall.cli.opening import Opened, YesOption, on_table
from pgrecall.cli.output import size
from pgrecall.cli.progress import shown

DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="The domain.", show_default=False)]
TargetArgument = Annotated[
    str, typer.Argument(metavar="TO", help="The other domain, which has no rows.", show_default=False)
]


@on_table
def list_(
    opened: Opened,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="Most names.")] = 1_000,
    after: Annotated[str | None, typer.Option(metavar="NAME", help="Go on behind this name.")] = None,
) -> None:
    """Show the names of the domains that have rows, sorted."""
    found = opened.collection.all_domains().list_domains(limit=limit, after=after)
    if opened.output.json:
        opened.output.document({"domains": found})
        return
    for name in found:
        opened.output.text(name)


@on_table
def count(opened: Opened) -> None:
    """Show how many domains have rows."""
    found = opened.collection.all_domains().count_domains()
    if opened.output.json:
        opened.output.document({"count": found})
    else:
        opened.output.text(f"{found:,}")


@on_table
def describe(
    opened: Opened,
    domain: Annotated[str | None, typer.Argument(metavar="DOMAIN", help="Only this one.", show_default=False)] = None,
) -> None:
    """Show how many rows each domain has, their size, and when the newest was first written."""
    collection = opened.collection.all_domains() if domain is None else opened.collection.domain(domain)
    with opened.output.waiting("counting"):
        found = collection.describe_domains()
    if opened.output.json:
        opened.output.document({"domains": found})
        return
    rows = [
        (
            info.name,
            info.rows,
            size(info.bytes),
            info.newest and info.newest.isoformat(" ", "seconds"),
            "yes" if info.isolated else "",
        )
        for info in found
    ]
    opened.output.table(("domain", "rows", "size", "newest", "isolated"), rows, right=("rows", "size"))


@on_table
def create(opened: Opened, domain: DomainArgument) -> None:
    """Make a partition for a new domain, with indexes of its own; the collection must have partitions by list."""
    opened.collection.create_domain(domain)
    if opened.output.json:
        opened.output.document({"created": domain})
    else:
        opened.output.text(f"{domain} has a partition of its own")


@on_table
def isolate(opened: Opened, domain: DomainArgument) -> None:
    """Move a domain into a partition of its own while it is read and written; one that was killed goes on."""
    with shown(opened.output) as show:
        report = opened.collection.isolate_domain(domain, on_progress=show)
    if opened.output.json:
        opened.output.document(report)
        return
    seconds = f"{report.seconds:.1f} s, during {report.locked:.3f} s of which the table was locked"
    opened.output.text(f"{report.rows:,} records moved in {seconds}")


@on_table
def copy(opened: Opened, domain: DomainArgument, to: TargetArgument) -> None:
    """Copy all records of a domain into another one."""
    _done(opened, "copied", opened.collection.domain(domain).copy_domain(to))


@on_table
def rename(opened: Opened, domain: DomainArgument, to: TargetArgument) -> None:
    """Give all records of a domain to another one."""
    _done(opened, "renamed", opened.collection.domain(domain).rename_domain(to))


@on_table
def delete(opened: Opened, domain: DomainArgument, yes: YesOption = False) -> None:
    """Delete all records of a domain."""
    collection = opened.collection.domain(domain)
    if not yes:
        opened.output.confirm(f"Delete all {collection.count():,} records of domain {domain!r}?", yes=yes)
    _done(opened, "deleted", collection.delete_domain())


def _done(opened: Opened, what: str, count: int) -> None:
    if opened.output.json:
        opened.output.document({what: count})
    else:
        opened.output.text(f"{count:,} records {what}")
