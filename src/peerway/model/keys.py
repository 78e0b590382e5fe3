"""Keys: public ones print, secret ones never do."""

from __future__ import annotations

import base64
import binascii
from typing import Final, Self

from typing_extensions import override

LENGTH: Final = 32


class PublicKey(bytes):
    """
    A Curve25519 public key, 32 bytes; its text is base64 as in wg(8). Sorts by its bytes.
    """

    __slots__ = ()

    def __new__(cls, raw: bytes) -> Self:
        """
        Wrap 32 raw bytes; raises ValueError for any other length.
        """
        if len(raw) != LENGTH:
            raise ValueError(f"a public key has {LENGTH} bytes, not {len(raw)}")
        return super().__new__(cls, raw)

    @classmethod
    def parse(cls, value: str) -> PublicKey:
        """
        Read the base64 text of wg(8). Raises ValueError with a sentence that does not repeat the value.
        """
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("a public key is 44 characters of base64, as `wg show` prints it") from None
        if len(raw) != LENGTH:
            raise ValueError(f"a public key is 32 bytes in base64 (44 characters), this one has {len(raw)} bytes")
        return cls(raw)

    @override
    def __str__(self) -> str:
        return base64.b64encode(self).decode()

    @override
    def __repr__(self) -> str:
        return f"PublicKey({self})"

    @property
    def short(self) -> str:
        """
        The first eight characters, for people.
        """
        return str(self)[:8]


class Secret:
    """
    A private or preshared key. It never prints: repr, str and format hide it, it does not pickle, and only
    `reveal` gives the bytes.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        """
        Hold 32 raw bytes; raises ValueError for any other length.
        """
        if len(raw) != LENGTH:
            raise ValueError(f"a key has {LENGTH} bytes, not {len(raw)}")
        self._raw = bytes(raw)

    @classmethod
    def parse(cls, value: str) -> Secret:
        """
        Read base64. Raises ValueError with a sentence that does not repeat the value.
        """
        try:
            return cls(base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise ValueError("a private or preshared key is 44 characters of base64") from None

    def reveal(self) -> bytes:
        """
        The raw bytes, to be handed to WireGuard and to nobody else.
        """
        return self._raw

    @override
    def __repr__(self) -> str:
        return "Secret(hidden)"

    @override
    def __str__(self) -> str:
        return repr(self)

    @override
    def __format__(self, spec: str) -> str:
        return repr(self)

    @override
    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._raw == self._raw

    @override
    def __hash__(self) -> int:
        return hash(self._raw)
