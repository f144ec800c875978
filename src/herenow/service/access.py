"""Access: what a caller may do. The one place that believes a credential.

A caller shows the API key (all rights: it is for servers), or a token that `sign_token` made, as
``Authorization: Bearer``; where a browser can't set headers, as ``?token=`` (streams alone) or in the
cookie that the dashboard traded for one (reading alone: another site's page can't make it write). Nobody
is trusted for an address, its own machine's included: a proxy there speaks for the whole Internet.
"""

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from herenow import names
from herenow.service.problems import forbidden, unauthorized
from herenow.web.tokens import SCOPES, BadTokenError, Scope, read_token, sign_token

_INVITED_SECONDS: Final = 30 * 86_400.0
"""How long a cookie holds for which a link was traded; its secret ends with the run anyway."""


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
        """Whether it is shown hidden members, where it may look at all."""
        return self.scope == "admin"

    def need(self, scope: Scope) -> None:
        """Raise a 403 for what lies beyond its scope."""
        if SCOPES.index(self.scope) < SCOPES.index(scope):
            raise forbidden(f"this needs the scope {scope}; the token has {self.scope}")

    def need_rooms(self, rooms: Iterable[str]) -> None:
        """Raise a 403 for rooms that it is not for."""
        if self.rooms is not None and not self.rooms.issuperset(rooms):
            raise forbidden("the token is not for this room")

    def need_hidden(self) -> None:
        """Raise a 403 for whoever is not shown hidden members."""
        if not self.sees_hidden():
            raise forbidden("hidden members are shown to the scope admin alone")

    def need_every_room(self) -> None:
        """Raise a 403 where it is for some rooms alone."""
        if self.rooms is not None:
            raise forbidden("the token is for some rooms alone")

    def need_self(self, user: str) -> None:
        """Raise a 403 for anybody but its own user, unless it is an admin's."""
        if self.scope != "admin" and user != self.user:
            raise forbidden("a token marks its own user alone")

    def kind_for(self, wanted: names.Kind | None) -> names.Kind | None:
        """Check the kind that its user is marked as: their own, and hidden for a member."""
        if self.scope == "admin":
            return wanted
        if wanted is None:
            return None if self.kind == "member" else self.kind
        allowed = ("member", "hidden") if self.kind == "member" else (self.kind,)
        if wanted not in allowed:
            raise forbidden(f"the token's user is marked as {' or '.join(allowed)}")
        return wanted


OPEN: Final = Access("admin", key="open")
API_KEY: Final = Access("admin", key="api")
_INVITED: Final = Access("read", rooms=frozenset(), key="invited")


class Gate:
    """What credentials open. ``open_to_all``: who shows none may do everything."""

    def __init__(
        self, secret: str | None, api_key: str | None, *, open_to_all: bool = False
    ) -> None:
        self._secret = secret
        self._api_key = api_key
        self._open = open_to_all
        self._invitation: str | None = None

    def admit(self, scope: Any, *, query: str | None = None, cookie: str | None = None) -> Access:
        """Tell what the caller may; a 401 for one without a credential, or with a bad one.

        ``scope`` is ASGI's; ``query`` and ``cookie`` a token that came that way, where the route lets it.
        """
        given = bearer(scope) or query
        if given is not None:
            return self.believe(given)
        if self._open:  # what cookie there is, is of no use here
            return OPEN
        if cookie is not None:
            return self.believe(cookie).reading()
        raise unauthorized("say who you are: Authorization: Bearer TOKEN", invalid=False)

    def believe(self, given: str) -> Access:
        """Tell what a credential opens; a 401 for a bad one."""
        key = self._api_key
        if key is not None and hmac.compare_digest(_bytes(given), _bytes(key)):
            return API_KEY
        invitation = self._invitation
        if invitation is not None and hmac.compare_digest(_bytes(given), invitation.encode()):
            return _INVITED
        if self._secret is None:
            raise unauthorized("the credential is not valid", invalid=True)
        try:
            token = read_token(given, secret=self._secret)
        except BadTokenError as error:
            raise unauthorized(str(error), invalid=True) from None
        return Access(
            token.scope, token.user, token.kind, token.rooms, token.signature, token.until
        )

    def invite(self) -> str:
        """Make a token that is traded for an admin's cookie, once, and opens nothing else."""
        self._invitation = secrets.token_urlsafe(32)
        return self._invitation

    def trade(self, given: str, access: Access) -> tuple[str, Access]:
        """Give the token that becomes a cookie for the one that was shown, and what it opens."""
        if access is not _INVITED:
            return given, access
        if given != self._invitation:  # somebody was faster
            raise unauthorized("the link was used already", invalid=True)
        self._invitation = None
        token = sign_token(scope="admin", expires=_INVITED_SECONDS, secret=self._secret)
        return token, self.believe(token)

    def cookie_name(self, scope: Any) -> str:
        """Name the cookie of this service: a host may have several, by port, path and secret."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        port = host.rpartition(b"]")[2].partition(b":")[2]
        place = port + b" " + scope.get("root_path", "").encode()
        return f"herenow-{hmac.new(_bytes(self._secret or ''), place, 'sha256').hexdigest()[:16]}"


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def bearer(scope: Any) -> str | None:
    """Take the credential out of the Authorization header; what is no Bearer is for somebody else."""
    given: list[str] = []
    for name, header in scope["headers"]:
        if name == b"authorization":
            kind, _, value = str(header, "latin-1").strip().partition(" ")
            if kind.lower() == "bearer":
                given.append(value.strip())
    if not given:
        return None
    if len(given) > 1 or not given[0]:
        raise unauthorized("Authorization is Bearer and one token", invalid=True)
    return given[0]
