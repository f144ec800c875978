"""``herenow token``: sign a token for the service."""

import click

from herenow import names
from herenow.cli.options import checked, duration_option
from herenow.cli.output import show_lines
from herenow.cli.program import YES
from herenow.web.tokens import SCOPES, Scope, sign_token


@click.command()
@click.argument("user", required=False, callback=checked(names.clean_user))
@click.option(
    "--room",
    "rooms",
    multiple=True,
    metavar="ROOM",
    show_default="all",
    help="Allow only this room; repeatable.",
)
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    show_default="mark if USER is given, else read",
    help="What the token allows.",
)
@click.option(
    "--kind",
    default="member",
    show_default=True,
    type=click.Choice(names.KINDS),
    help="The user's kind.",
)
@duration_option(
    "--expires", "the time a token holds", show_default="1h", help="How long the token is valid."
)
@click.option("--admin", is_flag=True, help="Print a link to the dashboard, with all permissions.")
@click.option(
    "--service", metavar="URL", show_default="HERENOW_SERVICE_URL", help="The service's URL."
)
def token(
    user: str | None,
    rooms: tuple[str, ...],
    scope: Scope | None,
    kind: names.Kind,
    expires: float | None,
    service: str | None,
    *,
    admin: bool,
) -> int:
    """Sign a token for a browser: its user, rooms, scope and expiry.

    HERENOW_SECRET signs it, the service's own. It is not encrypted: whoever holds it can read it.
    """
    from herenow.web.settings import read_settings
    from herenow.web.tokens import DEFAULT_SECONDS

    if admin and (user or rooms or scope):
        raise click.UsageError("--admin is for everything: it takes no user, --room or --scope")
    settings = read_settings({"service_url": service}, {})
    signed = sign_token(
        user,
        rooms=rooms or None,
        scope="admin" if admin else scope,
        kind=kind,
        expires=expires or DEFAULT_SECONDS,
        secret=settings.secret,
    )
    where = settings.service_url or "http://127.0.0.1:8000"
    # what follows the # reaches no server and no log
    show_lines([f"{where}/#token={signed}" if admin else signed])
    return YES
