"""``flask online``: who is online on this site, in a terminal."""

import sys
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from herenow.web import online_page
from herenow.web.escapes import printable
from herenow.web.people import UNKNOWN, last_seen

if TYPE_CHECKING:
    from herenow.flask.extension import HereNow


def online_command(here: "HereNow") -> click.Command:
    """Make the command of an app's HereNow."""

    @click.command("online", short_help="Who is online on this site.")
    @click.option(
        "--limit", default=50, show_default=True, type=click.IntRange(1), help="How many."
    )
    @click.option(
        "--json", "as_json", is_flag=True, help="As JSON, like the page of who is online."
    )
    @with_appcontext
    def online(limit: int, as_json: bool) -> None:
        """Tell who is online: counts, then the members, the newest first.

        Exits with 1 when the store does not answer.
        """
        content = here.online_content(limit)
        if as_json:
            click.echo(online_page.as_json(content))
        elif content.counts is not None:
            counts = content.counts
            click.echo(", ".join(online_page.counted(counts)))
            for one in content.people:
                click.echo(f"{printable(one.name)}\t{last_seen(one)}")
            if content.more:
                click.echo(online_page.said_more(content))
        if content.counts is None:
            click.echo(f"{UNKNOWN}: the store does not answer", err=True)
            sys.exit(1)

    return online
