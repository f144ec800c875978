"""What a store's URL says, and which rule a wrong one breaks.

Pure: imports no client library, and knows none but for the names of its options. URLs are taken
apart here and not by ``urllib`` or redis-py: both repeat in their errors what may be a piece of a
password (``redis://:a/b@host``), and redis-py finds out only at the first command what is wrong
with an option. For the same reason no error here repeats what stands before the options.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

Kind = Literal["single", "unix", "sentinel", "cluster", "embedded"]

_KINDS: dict[str, Kind] = {
    "": "single",
    "+sentinel": "sentinel",
    "+cluster": "cluster",
    "unix": "unix",
    "embedded": "embedded",
}
_TLS = {"redis": False, "rediss": True, "valkey": False, "valkeys": True}
_FORMS: dict[Kind, str] = {
    "single": "redis://[user:password@]host[:port][/db]",
    "unix": "unix://[user:password@]/path/to/socket[?db=0]",
    "sentinel": "redis+sentinel://[user:password@]host[:port],host[:port]/service[/db]",
    "cluster": "redis+cluster://[user:password@]host[:port],host[:port]",
    "embedded": "embedded:///absolute/directory, or embedded:// for the default one",
}
_ENCODE = "in a user or a password, write /?#@:,[]% and blanks percent-encoded"
_SOCKET_PATH_BYTES = 107
_LAST_PORT = 65_535


@dataclass(frozen=True)
class Target:
    """What a URL names; ``path`` is a socket, a directory, or the service that sentinels watch."""

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    path: str
    options: dict[str, Any] = field(repr=False)  # keywords of redis-py, the password among them


def check_url(url: str) -> None:
    """Raise a ValueError that names the rule which a URL breaks, and never a password."""
    parse(url)


def is_temporary(url: str) -> bool:
    """Whether each opening of a URL makes a store of its own: ``embedded://?temporary=1``."""
    return bool(parse(url).options.get("temporary"))


def shown(url: str) -> str:
    """What a log calls the store: the URL without who logs in, and without its options."""
    parse(url)
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme.lower()}://{authority.rpartition('@')[2]}{slash}{path}"


def parse(url: str) -> Target:
    """Take a URL apart; raises as ``check_url`` does."""
    kind, tls, rest = _scheme(url)
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    userinfo, at, authority = authority.rpartition("@")
    socket_or_directory = kind in ("unix", "embedded")
    if socket_or_directory and (authority or (at and kind == "embedded")):
        raise _wrong(kind)
    hosts = () if socket_or_directory else tuple(_hosts(authority, kind))
    user, _, password = map(unquote, userinfo.partition(":"))
    credentials = {"username": user, "password": password}
    options: dict[str, Any] = {name: text for name, text in credentials.items() if text}
    options |= _options(query, kind, tls=tls)
    if socket_or_directory:
        return Target(kind, tls, (), _place(kind, unquote(slash + path), options), options)
    service, db = "", path.rstrip("/")
    if kind == "sentinel":
        service, _, db = map(unquote, db.partition("/"))
        if not service:
            raise _wrong(kind)
    if db:
        if not (db.isascii() and db.isdigit()):
            raise ValueError(
                f"the database is a number, as in redis://localhost:6379/0: {_wrong(kind)}"
            )
        options = {"db": int(db)} | options
    if kind == "cluster" and options.pop("db", 0) != 0:
        raise ValueError("a cluster has the database 0 alone")
    return Target(kind, tls, hosts, service, options)


def _wrong(kind: Kind) -> ValueError:
    return ValueError(f"the form is {_FORMS[kind]}; an IPv6 host stands in brackets; {_ENCODE}")


def _scheme(url: str) -> tuple[Kind, bool, str]:
    if not isinstance(url, str):
        raise ValueError(f"a store's URL is a string, not {type(url).__name__}")
    scheme, separator, rest = url.partition("://")
    base, plus, topology = scheme.lower().partition("+")
    kind = _KINDS.get(scheme.lower() if base not in _TLS else plus + topology)
    if not separator or kind is None:
        raise ValueError(
            "a store's URL begins with redis://, rediss://, valkey:// or valkeys:// (or one of "
            "them with +sentinel or +cluster), unix:// or embedded://"
        )
    if "#" in rest:
        raise ValueError(f"a store's URL has no # in it; {_ENCODE}")
    return kind, _TLS.get(base, False), rest


def _place(kind: Kind, path: str, options: dict[str, Any]) -> str:
    """Check the path of a unix socket or of an embedded directory."""
    path = "" if path == "/" else path
    if kind == "embedded":
        if path and options.get("temporary"):
            raise ValueError("an embedded store is temporary or has a directory, not both")
        return path
    if not path:
        raise _wrong(kind)
    if len(path.encode()) > _SOCKET_PATH_BYTES:
        raise ValueError(f"a unix socket's path has at most {_SOCKET_PATH_BYTES} bytes")
    return path


def _hosts(authority: str, kind: Kind) -> Iterator[tuple[str, int]]:
    if kind == "single" and not authority:
        authority = "localhost"
    if kind == "single" and "," in authority:
        raise ValueError("several hosts are for +sentinel and +cluster URLs")
    for address in authority.split(","):
        host, colon, port = address.rpartition(":")
        if not colon or address.endswith("]"):
            host, port = address, "26379" if kind == "sentinel" else "6379"
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        strange = any(c in "/?@,[]%" or c.isspace() for c in bare)
        if not bare or strange or (":" in bare and bare is host):
            raise _wrong(kind)
        if not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
            raise _wrong(kind)
        yield bare, int(port)


# ------------------------------------------------------------ options: name -> how its text is read


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError
    return int(text)


def _positive(text: str) -> int:
    if not (number := _whole(text)):
        raise ValueError
    return number


def _seconds(text: str) -> float:
    if not 0 < (number := float(text)) < math.inf:
        raise ValueError
    return number


def _one_of(values: dict[str, Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if text.lower() not in values:
            raise ValueError
        return values[text.lower()]

    return read


_yes_no = _one_of(
    dict.fromkeys(("1", "true", "yes", "on"), True)
    | dict.fromkeys(("0", "false", "no", "off"), False)
)

_Reader = Callable[[str], Any]
_EMBEDDED: dict[str, _Reader] = {"temporary": _yes_no}
_OTHERS: dict[str, _Reader] = {
    "client_name": str,
    "db": _whole,
    "decode_responses": _yes_no,
    "max_connections": _positive,
    "password": str,
    "protocol": _one_of({"2": 2, "3": 3}),
    "socket_connect_timeout": _seconds,
    "socket_timeout": _seconds,
    "username": str,
}
_OF_TCP: dict[str, _Reader] = {"socket_keepalive": _yes_no}
_OF_TLS: dict[str, _Reader] = {
    "ssl_ca_certs": str,
    "ssl_ca_data": str,
    "ssl_cert_reqs": _one_of({name: name for name in ("none", "optional", "required")}),
    "ssl_certfile": str,
    "ssl_check_hostname": _yes_no,
    "ssl_keyfile": str,
}
_OF_SENTINELS: dict[str, _Reader] = {"sentinel_password": str, "sentinel_username": str}
# A cluster client of redis-py drops these without a word.
_NOT_IN_CLUSTER: dict[str, _Reader] = {"health_check_interval": _whole}
_NOT_IN_CLUSTER_OF_TLS: dict[str, _Reader] = {"ssl_ciphers": str, "ssl_min_version": _whole}


def _known(kind: Kind, *, tls: bool) -> dict[str, _Reader]:
    if kind == "embedded":
        return _EMBEDDED
    known = _OTHERS | (_OF_TCP if kind != "unix" else {}) | (_OF_TLS if tls else {})
    if kind != "cluster":
        known |= _NOT_IN_CLUSTER | (_NOT_IN_CLUSTER_OF_TLS if tls else {})
    return known | (_OF_SENTINELS if kind == "sentinel" else {})


def _options(query: str, kind: Kind, *, tls: bool) -> dict[str, Any]:
    known = _known(kind, tls=tls)
    options: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            rule = ", ".join(sorted(known))
            raise ValueError(f"an unknown option in a store's URL: this one's are {rule}")
        try:
            options[name] = known[name](text)
        except ValueError:
            raise ValueError(f"a wrong value for {name} in a store's URL") from None
    return options
