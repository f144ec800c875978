"""Access: what a caller may do. The one place that believes a credential.

A caller shows the API key (all rights: it is for servers), or a token that `sign_token` made, as
``Authorization: Bearer``; where a browser can't set headers, as ``?token=`` (streams alone) or in the
cookie that the dashboard traded for one (reading alone: another site's page can't make it write). Without
a secret and a key the service is open to its own machine, and closed to everybody else.
"""

import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from herenow import names
from herenow.service.problems import forbidden, unauthorized
from herenow.tokens import SCOPES, BadTokenError, Scope, read_token

COOKIE: Final = "herenow"
_LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost")
_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip")


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do; ``rooms`` None is every room. ``key`` tells callers apart, for limits."""

    scope: Scope
    user: str | None = None
    kind: names.Kind = "member"
    rooms: frozenset[str] | None = None
    key: str = ""
    until: float | None = None
    """When the token ends, in Unix seconds; None for what is no token."""

    def reading(self) -> "Access":
        """The same for reading alone, as nobody in particular: what a cookie opens."""
        scope: Scope = "read" if self.scope == "mark" else self.scope
        return replace(self, scope=scope, user=None)

    def sees_hidden(self) -> bool:
        """Whether it is told of hidden members, where it may look at all."""
        return self.scope == "admin"

    def need(self, scope: Scope) -> None:
        """Raise a 403 for what lies beyond its scope."""
        if SCOPES.index(self.scope) < SCOPES.index(scope):
            raise forbidden(f"this needs the scope {scope}; the token has {self.scope}")

    def need_rooms(self, rooms: Iterable[str]) -> None:
        """Raise a 403 for rooms that it is not for."""
        if self.rooms is not None and not self.rooms.issuperset(rooms):
            raise forbidden("the token is not for this room")

    def need_every_room(self) -> None:
        """Raise a 403 where it is for some rooms alone."""
        if self.rooms is not None:
            raise forbidden("the token is for some rooms alone")

    def need_self(self, user: str) -> None:
        """Raise a 403 for anybody but its own user, unless it is an admin's."""
        if self.scope != "admin" and user != self.user:
            raise forbidden("a token marks its own user alone")

    def kind_for(self, wanted: names.Kind | None) -> names.Kind | None:
        """Check the kind that its user is marked as: her own, and hidden for a member."""
        if self.scope == "admin":
            return wanted
        if wanted is None:
            return None if self.kind == "member" else self.kind
        allowed = ("member", "hidden") if self.kind == "member" else (self.kind,)
        if wanted not in allowed:
            raise forbidden(f"the token's user is marked as {' or '.join(allowed)}")
        return wanted


OPEN: Final = Access("admin", key="open")


class Gate:
    """What credentials open."""

    def __init__(self, secret: str | None, api_key: str | None) -> None:
        self._secret = secret
        self._api_key = api_key
        self.open = secret is None and api_key is None

    def admit(self, scope: Any, *, query: str | None = None, cookie: str | None = None) -> Access:
        """Tell what the caller may; a 401 for one without a credential, or with a bad one.

        ``scope`` is ASGI's; ``query`` and ``cookie`` a token that came that way, where the route lets it.
        """
        given = bearer(scope) or query
        if given is None and cookie is not None:
            return self.believe(cookie).reading()
        if given is None:
            if self.open and is_local(scope):
                return OPEN
            if self.open:
                raise unauthorized(
                    "without HERENOW_SECRET or HERENOW_API_KEY it answers to its own machine alone",
                    invalid=False,
                )
            raise unauthorized("say who you are: Authorization: Bearer TOKEN", invalid=False)
        return self.believe(given)

    def believe(self, given: str) -> Access:
        """Tell what a credential opens; a 401 for a bad one."""
        key = self._api_key
        if key is not None and hmac.compare_digest(_bytes(given), _bytes(key)):
            return Access("admin", key="api")
        if self._secret is None:
            raise unauthorized("the credential is not valid", invalid=True)
        try:
            token = read_token(given, secret=self._secret)
        except BadTokenError as error:
            raise unauthorized(str(error), invalid=True) from None
        return Access(
            token.scope, token.user, token.kind, token.rooms, token.signature, token.until
        )


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def bearer(scope: Any) -> str | None:
    """Take the credential out of the Authorization header."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given:
        return None
    kind, _, value = str(given[0], "latin-1").partition(" ")
    value = value.strip()
    if len(given) > 1 or kind.lower() != "bearer" or not value:
        raise unauthorized("Authorization is Bearer and one token", invalid=True)
    return value


def is_local(scope: Any) -> bool:
    """Whether this machine itself asks, under its own name, and nobody through it as a proxy."""
    client = scope.get("client")
    if client is not None and not is_loopback(client[0]):
        return False
    headers = dict(scope["headers"])
    if any(name in headers for name in _FORWARDED):
        return False
    origin = headers.get(b"origin")
    if origin is not None and not is_loopback(urlsplit(origin.decode("latin-1")).hostname or ""):
        return False  # a page of some site, in this machine's browser
    return is_loopback(_host(headers.get(b"host", b"").decode("latin-1")))


def _host(value: str) -> str:
    if value.startswith("["):
        return value[1:].partition("]")[0]
    return value.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Whether a host, by its name or address, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES
