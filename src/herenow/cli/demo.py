"""``herenow demo``: run a demo forum that shows who is online, on a store of its own."""

from typing import Final

import click

from herenow.cli.options import Whole, listen, port_option, url_option

_OWN: Final = "embedded://?temporary=1"


@click.command()
@port_option(envvar="PORT", show_envvar=True)
@click.option(
    "--visitors",
    default=0,
    metavar="N",
    type=Whole("the number of visitors", 0, 5000),
    show_default=True,
    help="Simulate about N people who come, read and leave.",
)
@url_option
def demo(*, port: int, visitors: int, url: str | None) -> None:
    """Run a small forum that shows who is online, until Ctrl-C.

    Open it in two browsers. Unless --url names a store, it uses a temporary embedded one.
    """
    from herenow.demo.serving import HOST, serve

    with listen(HOST, port) as listening:
        serve(listening, visitors, url or _OWN)
