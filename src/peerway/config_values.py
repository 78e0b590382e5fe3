"""The kinds of values that a configuration holds: how each is read from YAML, written back, and told in the schema.

Readers raise ValueError with `what is wrong; cure`. The names of tables and protocols come in as the validation
context; without one only the builtin names are known.
"""

from __future__ import annotations

import grp
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, PlainValidator, SerializationInfo, ValidationInfo, WithJsonSchema

from peerway.backends.names import MAX_PROTOCOL, PROTOCOLS, Names
from peerway.model import prefix as px
from peerway.model.keys import PublicKey
from peerway.model.policy import ALL_PROTOCOLS, Accept
from peerway.model.prefix import Prefix

LONGEST_INTERFACE_NAME: Final = 15  # IFNAMSIZ - 1
LONGEST_SOCKET_PATH: Final = 90  # sun_path holds 107 bytes; the rest is for the temporary name beside it
LOCAL_TABLE: Final = 255
LOWEST_OWN_PROTOCOL: Final = 5  # below are RTPROT_UNSPEC to RTPROT_STATIC, which belong to the kernel and to people
_NO_GROUP: Final = 0xFFFFFFFF  # (gid_t) -1, which chown(2) takes for "leave it"

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_BUILTIN: Final = Names()


@dataclass(frozen=True, slots=True)
class ProtocolRule:
    """
    One entry of `protocols`: this routing protocol (None = every one) counts, or does not. A name may stand for
    several numbers; `protocol` is the one that ip(8) takes it for.
    """

    protocol: int | None
    counts: bool
    shared: frozenset[int] = field(default=frozenset(), compare=False)  # other numbers of the same name

    @property
    def numbers(self) -> frozenset[int]:
        """
        The protocol numbers that the entry speaks of.
        """
        return ALL_PROTOCOLS if self.protocol is None else self.shared | {self.protocol}


def counting(rules: tuple[ProtocolRule, ...]) -> frozenset[int]:
    """
    The protocol numbers that count after all rules, in order. A list that starts with an exclusion starts from all.
    """
    result: set[int] = set(ALL_PROTOCOLS) if rules and not rules[0].counts else set()
    for rule in rules:
        result = result | rule.numbers if rule.counts else result - rule.numbers
    return frozenset(result)


def _names(info: ValidationInfo | SerializationInfo) -> Names:
    return info.context if isinstance(info.context, Names) else _BUILTIN


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not text; put it in quotes")  # noqa: TRY004  pydantic turns only ValueError into a place
    return value


def _word_or_number(value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("neither a name nor a number; write one of the two")  # noqa: TRY004  as above
    return value


def _table(value: object, info: ValidationInfo) -> int:
    return _names(info).table(_word_or_number(value))


def _written_table(value: object, info: ValidationInfo) -> int:
    number = _table(value, info)
    if number == LOCAL_TABLE:
        raise ValueError("this table is the kernel's own; write main, or a number of your choice")
    return number


def _own_protocol(value: object, info: ValidationInfo) -> int:
    number = _names(info).protocol(_word_or_number(value))
    if number < LOWEST_OWN_PROTOCOL or number in PROTOCOLS.values():
        owner = _BUILTIN.protocol_name(number)
        raise ValueError(
            f"this number belongs to {owner}, and peerway takes away routes that carry its own; write one that no "
            f"other program uses, from {LOWEST_OWN_PROTOCOL} to {MAX_PROTOCOL}, such as 87"
        )
    return number


def _table_text(number: int, info: SerializationInfo) -> str | int:
    name = _names(info).table_name(number)
    return number if name.isdecimal() else name


def _protocol_text(number: int, info: SerializationInfo) -> str | int:
    name = _names(info).protocol_name(number)
    return number if name.isdecimal() else name


def _protocol_rule(value: object, info: ValidationInfo) -> ProtocolRule:
    word = _word_or_number(value)
    if word == "*":
        return ProtocolRule(None, counts=True)
    if isinstance(word, str) and word.startswith("!"):
        if word == "!*":
            raise ValueError('this excludes everything; write "route_sync: peers-to-routes" if no route should count')
        return _rule_for(word[1:], _names(info), counts=False)
    return _rule_for(word, _names(info), counts=True)


def _rule_for(word: str | int, names: Names, *, counts: bool) -> ProtocolRule:
    return ProtocolRule(names.protocol(word), counts, names.all_protocols(word))


def _protocol_rule_text(rule: ProtocolRule, info: SerializationInfo) -> str | int:
    name = "*" if rule.protocol is None else _protocol_text(rule.protocol, info)
    return name if rule.counts else f"!{name}"


def _prefix(value: object) -> Prefix:
    text = _text(value)
    prefix = px.parse(text, strict=True)
    if px.bits(prefix) - px.length(prefix) < 2:
        raise ValueError("leaves no room for addresses; write a shorter prefix, such as fe80::/64 or 10.237.0.0/16")
    return prefix


def _accept(value: object) -> Accept:
    return Accept.parse(_text(value))


def accept_text(accept: Accept) -> str:
    """
    An entry of an accept list, as Accept.parse reads it.
    """
    own, bits = px.length(accept.prefix), px.bits(accept.prefix)
    text = px.text(accept.prefix)
    if accept.ge != own:
        text += f" ge {accept.ge}"
    if accept.le != (bits if accept.ge != own else own):
        text += f" le {accept.le}"
    return text


def _public_key(value: object) -> PublicKey:
    return PublicKey.parse(_text(value))


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) *(ms|s|m|h|)", _text(value))
        if not found:
            raise ValueError("not a duration; write it like 1s, 500ms or 2m, or as a number of seconds")
        seconds = float(found[1]) * _UNITS[found[2]]
    if not 0.01 <= seconds <= 3600:
        raise ValueError("out of range; write a duration from 10ms to 1h")
    return seconds


def _seconds_text(seconds: float) -> str:
    if seconds < 1 and (seconds * 1000).is_integer():
        return f"{seconds * 1000:.0f}ms"
    return f"{seconds!r}s".replace(".0s", "s")


def _absolute_path(value: object) -> Path:
    path = Path(_text(value))
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError("not an absolute path; begin it with /")
    return path


def _socket_path(value: object) -> Path:
    path = _absolute_path(value)
    if len(str(path).encode()) > LONGEST_SOCKET_PATH:
        raise ValueError(f"too long for a unix socket; write a path of at most {LONGEST_SOCKET_PATH} bytes")
    return path


def _group(value: object) -> int:
    word = _word_or_number(value)
    if isinstance(word, int):
        if not 0 <= word < _NO_GROUP:
            raise ValueError("not the number of a group; write the name of one, as `getent group` prints it")
        return word
    try:
        return grp.getgrnam(word).gr_gid
    except KeyError:
        raise ValueError("there is no such group; make it (`groupadd --system`), or name one that exists") from None


def _group_text(number: int) -> str | int:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return number


def _interface_pattern(value: object) -> str:
    text = _text(value)
    if not text or not text.isprintable() or re.search(r"[\s/:]", text):
        raise ValueError('not the name of an interface; write a name such as wg0, or a glob such as "wg*"')
    if len(text.encode()) > LONGEST_INTERFACE_NAME and not re.search(r"[*?[]", text):
        raise ValueError(f"too long for an interface; Linux takes names of at most {LONGEST_INTERFACE_NAME} bytes")
    return text


def _peer_name(value: object) -> str:
    text = _text(value)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,31}", text):
        raise ValueError("not a name for a peer; write up to 32 letters, digits and . _ @ -, beginning with a letter")
    return text


def _given(value: object) -> object:
    if value is None:
        raise ValueError("no value; write one, or take the key away")
    return value


def _kind(reader: Callable[..., Any], writer: Callable[..., str | int], **schema: Any) -> tuple[Any, ...]:
    return PlainValidator(reader), PlainSerializer(writer), WithJsonSchema(schema)


_NAME_OR_NUMBER: Final[list[dict[str, str]]] = [{"type": "string"}, {"type": "integer"}]


Given = BeforeValidator(_given)
Table = Annotated[int, *_kind(_table, _table_text, anyOf=_NAME_OR_NUMBER)]
WrittenTable = Annotated[int, *_kind(_written_table, _table_text, anyOf=_NAME_OR_NUMBER)]
OwnProtocol = Annotated[int, *_kind(_own_protocol, _protocol_text, anyOf=_NAME_OR_NUMBER)]
Protocols = Annotated[ProtocolRule, *_kind(_protocol_rule, _protocol_rule_text, anyOf=_NAME_OR_NUMBER)]
DerivePrefix = Annotated[Prefix, *_kind(_prefix, px.text, type="string")]
AcceptEntry = Annotated[Accept, *_kind(_accept, accept_text, type="string")]
Key = Annotated[PublicKey, *_kind(_public_key, str, type="string", minLength=44, maxLength=44)]
Duration = Annotated[float, *_kind(_seconds, _seconds_text, anyOf=[{"type": "string"}, {"type": "number"}])]
AbsolutePath = Annotated[Path, *_kind(_absolute_path, str, type="string")]
SocketPath = Annotated[Path, *_kind(_socket_path, str, type="string", maxLength=LONGEST_SOCKET_PATH)]
Group = Annotated[int, *_kind(_group, _group_text, anyOf=_NAME_OR_NUMBER)]
InterfacePattern = Annotated[str, *_kind(_interface_pattern, str, type="string")]
PeerName = Annotated[str, *_kind(_peer_name, str, type="string")]
