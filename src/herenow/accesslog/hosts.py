"""Hosts as users of a store: hashed with a key, unless they are to be kept as they are."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache

from herenow import names


@dataclass(frozen=True)
class Naming:
    """Names hosts: by ``key`` (a keyed BLAKE2b of 96 bits, in hex), or (None) by what they are.

    The same host has the same name under the same key. One that is no user's id as it is, being no UTF-8
    or too long, is named by its hash in any case.
    """

    key: bytes | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "user", lru_cache(maxsize=65_536)(self._user))

    def user(self, visitor: bytes) -> str:
        """Name a visitor: the letter of the kind, then the host. A bot is nobody else of its host."""
        return self._user(visitor)

    def _user(self, visitor: bytes) -> str:
        name = self._name(visitor[1:])
        return f"bot:{name}" if visitor[:1] == b"b" else name

    def _name(self, host: bytes) -> str:
        if self.key is not None:
            return hashlib.blake2b(host, digest_size=12, key=self.key[:64]).hexdigest()
        try:
            return names.clean_user(host.decode())
        except ValueError:  # UnicodeDecodeError is one
            return f"bytes:{hashlib.blake2b(host, digest_size=16).hexdigest()}"
