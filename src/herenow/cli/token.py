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
    "--room", "rooms", multiple=True, metavar="ROOM", help="For this room alone; several times."
)
@click.option(
    "--scope", type=click.Choice(SCOPES), help="Else mark where a user is named, else read."
)
@click.option("--kind", default="member", type=click.Choice(names.KINDS), help="Else a member.")
@duration_option("--expires", "the time a token holds", help="Else an hour, as 1h.")
@click.option("--admin", is_flag=True, help="A link to the dashboard, with every right.")
@click.option("--service", metavar="URL", help="Where the service is; else HERENOW_SERVICE_URL.")
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
    """Sign a token: who a browser is, which rooms, what it may do, until when.

    HERENOW_SECRET signs it, the same that the service has. Whoever holds it can read what is in it.
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
    # behind the # it is sent to no server and written in no log
    show_lines([f"{where}/#token={signed}" if admin else signed])
    return YES
