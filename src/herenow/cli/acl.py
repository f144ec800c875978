"""``herenow acl``: print a minimal ACL, the rule that gives a store's user what herenow needs."""

from typing import Final

import click

from herenow.cli.options import json_option, prefix_option, settings_for, url_option
from herenow.cli.output import show_json, show_lines
from herenow.cli.program import YES

_PASSWORD: Final = ">PASSWORD"  # noqa: S105 - to be replaced


def _clean_name(_: click.Context, __: click.Parameter, name: str) -> str:
    if not name.isascii() or not name.isprintable() or not name or " " in name:
        raise click.BadParameter("a store's user must be printable ASCII without blanks")
    return name


@click.command()
@click.option(
    "--user",
    metavar="USER",
    default="herenow",
    show_default=True,
    callback=_clean_name,
    help="The store's user.",
)
@click.option("--redis-6", is_flag=True, help="For Redis 6.2, which has no shard channels.")
@click.option("--cluster", is_flag=True, help="For a cluster; set the rule on every node.")
@url_option
@prefix_option
@json_option
def acl(
    *,
    user: str,
    redis_6: bool,
    cluster: bool,
    url: str | None,
    prefix: str | None,
    in_json: bool,
) -> int:
    """Print a minimal ACL: an ACL SETUSER rule that allows what herenow does, and nothing else.

    It allows herenow's own keys and channels, and the commands that herenow sends or its scripts call.
    Replace PASSWORD. With --url, the server's version and topology are read from the store; nothing is
    changed there.
    """
    from herenow.store import rights

    settings = settings_for(url, prefix, needed=False)
    if url is not None:
        redis_6, cluster = _ask(url, settings.timeout)
    rules = ["on", _PASSWORD, *rights.rules(settings.prefix, redis_6=redis_6, cluster=cluster)]
    if in_json:
        show_json({"user": user, "rules": rules})
    else:
        show_lines([" ".join(["ACL SETUSER", user, *map(_quoted, rules)])])
    return YES


def _ask(url: str, timeout: float) -> tuple[bool, bool]:
    """Read whether the store is Redis 6, and whether it is a cluster."""
    from herenow.cli.logstore import open_engine
    from herenow.doctor.facts import read_node
    from herenow.store import is_cluster, masters_of

    with open_engine(url, timeout) as engine, engine.store.translating():
        name, node = masters_of(engine.client)[0]
        return read_node(name, node.info()).redis_6, is_cluster(engine.client)


def _quoted(word: str) -> str:
    """Quote a word for redis-cli and valkey-cli."""
    if "\\" not in word and '"' not in word and "'" not in word and " " not in word:
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
