"""``herenow demo``: run a demo forum that shows who is online, on a store of its own."""

from typing import Final

import click

from herenow.cli.options import url_option

_OWN: Final = "embedded://?temporary=1"


@click.command()
@click.option(
    "--port",
    default=8000,
    envvar="PORT",
    show_default=True,
    type=click.IntRange(0, 65535),
    show_envvar=True,
    help="The port to listen on; 0 picks a free one.",
)
@click.option(
    "--visitors",
    default=0,
    metavar="N",
    type=click.IntRange(0, 5000),
    show_default=True,
    help="Simulate about N people who come, read and leave.",
)
@url_option
def demo(*, port: int, visitors: int, url: str | None) -> None:
    """Run a small forum that shows who is online, until Ctrl-C.

    Open it in two browsers. Unless --url names a store, it uses a temporary embedded one.
    """
    from herenow.demo.serving import serve

    serve(port, visitors, url or _OWN)
