"""``herenow serve``: the service, for pages and programs that are not Python."""

import secrets
import sys
from dataclasses import replace
from typing import Final

import click

from herenow.cli.options import listen, port_option, prefix_option, settings_for, url_option
from herenow.cli.program import YES
from herenow.web.escapes import Escaping

_STOP_WITHIN: Final = 2
_MOST_OF_A_HEAD: Final = 65_536


@click.command()
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at.",
)
@port_option()
@click.option(
    "--proxy",
    metavar="ADDRESSES",
    show_default="none",
    help="Proxies whose X-Forwarded-For is trusted, separated by commas.",
)
@click.option("--access-log", is_flag=True, help="Log requests on stderr; never a token.")
@url_option
@prefix_option
def serve(
    host: str,
    port: int,
    proxy: str | None,
    url: str | None,
    prefix: str | None,
    *,
    access_log: bool,
) -> int:
    """Serve who is online over HTTP: JSON, live events, metrics, a dashboard.

    Browsers authenticate with tokens (signed with HERENOW_SECRET: see `herenow token`), servers with
    HERENOW_API_KEY. If neither is set, it makes a secret for this run and prints a link that opens the
    dashboard once. `/openapi.json` describes the API.
    """
    import uvicorn

    from herenow.service import create_app
    from herenow.service.connections import taking
    from herenow.service.memory import Trimmer
    from herenow.service.server import Server
    from herenow.web.settings import make_presence

    settings = settings_for(url, prefix, terminal=False, buffered=False, resolution=0)
    for_this_run = settings.secret is None and settings.api_key is None
    if for_this_run:
        settings = replace(settings, secret=secrets.token_urlsafe(32))
    presence = make_presence(replace(settings, buffered=False))
    service = create_app(presence, secret=settings.secret, api_key=settings.api_key)
    config = uvicorn.Config(
        service,
        host=host,
        port=port,
        http=taking(service.streams.settings, proxy),
        h11_max_incomplete_event_size=_MOST_OF_A_HEAD,
        ws="none",
        lifespan="on",
        log_level="info" if access_log else "warning",
        log_config=_LOG_CONFIG,
        access_log=access_log,
        proxy_headers=proxy is not None,
        forwarded_allow_ips=proxy or "",
        server_header=False,
        timeout_graceful_shutdown=_STOP_WITHIN,
    )
    listening = listen(host, port)
    _warn_of_proxies(proxy, limited=settings.rate_limit is not None)
    if for_this_run:
        print(_OPENS_ONCE, file=sys.stderr)
    name, number = listening.getsockname()[:2]
    print(f"herenow serves at http://{_host(name)}:{number}/ (Ctrl-C ends it)", flush=True)
    if for_this_run:
        # behind the # it is sent to no server and written in no log
        here = _host(_ANY.get(name, name))
        print(f"http://{here}:{number}/#token={service.gate.invite()}", flush=True)
    trimmer = Trimmer()
    try:
        Server(config, service).run(sockets=[listening])
    finally:
        trimmer.stop()
    return YES


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _warn_of_proxies(proxy: str | None, *, limited: bool) -> None:
    """Warn of what a proxy, named or not, does to addresses."""
    if proxy is None and limited:
        print(_NO_PROXY, file=sys.stderr)
    elif proxy is not None and "*" in [one.strip() for one in proxy.split(",")]:
        print(_ANY_PROXY, file=sys.stderr)


_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a link can't lead
_OPENS_ONCE: Final = (
    "herenow: HERENOW_SECRET and HERENOW_API_KEY are not set: the link opens the dashboard, once; "
    "set them for pages and programs"
)
_NO_PROXY: Final = (
    "herenow: no --proxy is named: behind one, all visitors share one address and its rate limit"
)
_ANY_PROXY: Final = (
    "herenow: --proxy '*' trusts everybody's X-Forwarded-For: whoever reaches this port directly may "
    "pass for any address, and has no rate limit; name the proxies"
)
_LOG_CONFIG: Final = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "filters": {"escaping": {"()": Escaping}},
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["escaping"],  # uvicorn's loggers too
        }
    },
    "loggers": {
        "uvicorn": {"handlers": ["stderr"], "propagate": False},
        "herenow": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}
