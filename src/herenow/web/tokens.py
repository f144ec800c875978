"""Signed tokens: who a browser is, which rooms it may see, what it may do, until when.

A site signs one for each page that follows presence; the service believes it without asking anybody.
Nothing is stored, so a token can't be taken back before it ends: keep them short. What is in one can be
read by whoever holds it, and not be changed. The signature is itsdangerous's (HMAC with SHA-256 under a
key derived from the secret), imported when the first is made or read.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from herenow import names

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer

Scope = Literal["read", "mark", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
"""What a token lets its holder do, each what the one before does too: see who is online; mark
themselves; all there is, for everybody, with what hidden members hide."""
DEFAULT_SECONDS: Final = 3600.0
MAX_TOKEN_LENGTH: Final = 4096
MAX_ROOMS: Final = 100
_SALT: Final = "herenow.token.1"
_SECRET_LENGTH: Final = 16


class BadTokenError(ValueError):
    """A token that nobody signed with this secret, that was changed, or that has ended."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says; ``rooms`` None is every room, ``until`` Unix seconds."""

    scope: Scope
    user: str | None = None
    kind: names.Kind = "member"
    rooms: frozenset[str] | None = None
    until: float = 0.0
    signature: str = field(default="", compare=False, repr=False)
    """The one text that signs just this: it tells tokens apart."""


def sign_token(
    user: object = None,
    *,
    rooms: Iterable[object] | None = None,
    scope: Scope | None = None,
    kind: names.Kind = "member",
    expires: float | timedelta = DEFAULT_SECONDS,
    secret: str | None = None,
) -> str:
    """Sign a token for herenow's service; URL-safe text of a few hundred bytes.

    ``user`` is who may mark themselves, as ``kind`` (a member may hide, too); ``rooms`` a list of at most
    100, None for all; ``scope`` one of read, mark (where there is a user, the default) and admin;
    ``expires`` seconds from now, by this machine's clock; ``secret`` at least 16 characters, else
    HERENOW_SECRET. Asks no store. Raises ValueError for anything else.
    """
    if scope is None:
        scope = "read" if user is None else "mark"
    if scope not in SCOPES:
        raise ValueError(f"a scope is one of {', '.join(SCOPES)}, not {scope!r}")
    if scope == "mark" and user is None:
        raise ValueError("a token to mark oneself names its user")
    seconds = names.milliseconds(expires, "the time a token holds") / 1000
    content: dict[str, Any] = {"s": scope, "t": int(time.time() + seconds + 0.999)}
    if user is not None:
        content["u"] = names.clean_user(user)
    if names.clean_kind(kind) != "member":
        content["k"] = kind
    if rooms is not None:
        listed = names.clean_many(rooms, "the rooms of a token are a list")
        content["r"] = sorted({names.clean_room(one) for one in listed})
        if not content["r"] or len(content["r"]) > MAX_ROOMS:
            raise ValueError(f"a token is for 1 to {MAX_ROOMS} rooms, or None for all")
    signed: Any = _signer(_secret(secret)).dumps(content)
    token = signed if isinstance(signed, str) else signed.decode()
    if len(token) > MAX_TOKEN_LENGTH:
        raise ValueError(
            f"a token has at most {MAX_TOKEN_LENGTH} characters: name fewer rooms; this has {len(token)}"
        )
    return token


def read_token(token: str, *, secret: str | None = None) -> Token:
    """Read a token that `sign_token` made with this secret; BadTokenError for any other, or late."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise BadTokenError(f"a token has at most {MAX_TOKEN_LENGTH} characters")
    serializer = _signer(_secret(secret))
    signed, _, signature = token.encode(errors="replace").rpartition(b".")
    # Compared as text: base64 has several forms of the same bytes, and each would be a token of its own
    # to whoever counts what one token asks.
    if not compare_digest(serializer.make_signer(_SALT).get_signature(signed), signature):
        raise BadTokenError("the token was not signed here, or was changed")
    content = serializer.load_payload(signed)
    if time.time() >= content["t"]:
        raise BadTokenError("the token has ended: get another")
    rooms = content.get("r")
    return Token(
        content["s"],
        content.get("u"),
        content.get("k", "member"),
        None if rooms is None else frozenset(rooms),
        content["t"],
        signature.decode(),
    )


def clean_secret(value: object) -> str:
    """Check a secret: at least 16 characters. What is wrong is not repeated."""
    if isinstance(value, str) and len(value) >= _SECRET_LENGTH:
        return value
    # a short one is guessed, and then every guest's address too
    raise ValueError(f"a secret is a str of at least {_SECRET_LENGTH} characters, kept to yourself")


def _secret(given: str | None) -> str:
    if given is None:
        from herenow.web.settings import read_settings

        given = read_settings({}, {}).secret
    if given is None:
        raise ValueError("HERENOW_SECRET is not set: tokens are signed with it")
    return clean_secret(given)


@lru_cache(maxsize=8)
def _signer(secret: str) -> "URLSafeSerializer":
    import hashlib

    from itsdangerous import URLSafeSerializer

    how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
    return URLSafeSerializer(secret, salt=_SALT, signer_kwargs=how)
