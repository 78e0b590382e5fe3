"""From what pydantic found to sentences with a place: file, line, key, value, what is wrong, and the cure."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from peerway.config_text import Document, KeyPath, Unreadable, key_text, shown
from peerway.model.keys import PublicKey

_KEY_MARK: Final = "[key]"  # how pydantic marks an error in the key of a dict
_KINDS: Final = {
    "bool_type": ("neither true nor false", "write true or false, without quotes"),
    "int_type": ("not a whole number", "write digits, without quotes"),
    "tuple_type": ("not a list", "write it in brackets, with commas between entries"),
    "dict_type": ("not a mapping", "write keys and values below it"),
    "model_type": ("not a mapping", "write keys and values below it"),
    "model_attributes_type": ("not a mapping", "write keys and values below it"),
}


def without_empty_mappings(data: Any) -> Any:
    """
    A copy in which the sections that were left empty in the file (`wg0:` and nothing below) are empty mappings.
    """
    if data is None:
        return {}
    if not isinstance(data, dict):
        return data
    copy = {key: ({} if value is None and key in ("daemon", "interfaces") else value) for key, value in data.items()}
    if isinstance(copy.get("interfaces"), dict):
        copy["interfaces"] = {name: _entry(entry) for name, entry in copy["interfaces"].items()}
    return copy


def _entry(entry: Any) -> Any:
    if entry is None:
        return {}
    if not isinstance(entry, dict) or "peers" not in entry:
        return entry
    peers = {} if entry["peers"] is None else entry["peers"]
    if isinstance(peers, dict):
        peers = {name: {} if peer is None else peer for name, peer in peers.items()}
    return entry | {"peers": peers}


def problems_of(error: ValidationError, document: Document, model: type[BaseModel]) -> None:
    """
    Add to the document a problem for each error that pydantic found.
    """
    for detail in error.errors(include_url=False):
        value = detail["input"]
        if value is Unreadable or (detail["type"] == "too_short" and value):
            continue  # complained about already: when it was read, or entry by entry
        path: KeyPath = tuple(step for step in detail["loc"] if step != _KEY_MARK)
        if detail["type"] == "extra_forbidden":
            document.complain(path, shown(path, value), "unknown key", _nearest(path, model))
            continue
        what, cure = _explain(detail["type"], detail.get("ctx", {}), detail["msg"], value)
        is_key = _KEY_MARK in detail["loc"]
        text = str(value)
        if shown(path, value) != text and text in what:
            what = what.replace(text, "the value")
        document.complain(path, "" if is_key else shown(path, value), what, cure or _example(path, model))


def _explain(kind: str, context: dict[str, Any], message: str, value: object) -> tuple[str, str]:
    if kind == "value_error":
        what, _, cure = str(context["error"]).partition("; ")
        return what.removeprefix(repr(value)).lstrip(": ").removeprefix("is "), cure
    if value is None:
        return "no value", ""
    limits = {
        "enum": ("not one of the choices", f"write {context.get('expected', '')}".replace("'", "")),
        "greater_than_equal": ("too low", f"write {context.get('ge')} or more"),
        "less_than_equal": ("too high", f"write {context.get('le')} or less"),
        "too_short": ("an empty list", "write at least one entry, or take the key away"),
    }
    return limits.get(kind) or _KINDS.get(kind) or (message, "")


def _model_at(path: KeyPath, model: type[BaseModel]) -> type[BaseModel] | None:
    """The group of settings that a key path leads into, None if it leads to a value."""
    found: Any = model
    for step in path:
        if isinstance(found, type) and issubclass(found, BaseModel):
            declared = found.model_fields.get(str(step))
            found = declared.annotation if declared else None
        else:  # a dict from names to groups
            found = next((a for a in get_args(found) if isinstance(a, type) and issubclass(a, BaseModel)), None)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _all_groups(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, declared in model.model_fields.items():
        below = f"{path}.{name}" if path else name
        for found in (declared.annotation, *get_args(declared.annotation)):
            if isinstance(found, type) and issubclass(found, BaseModel):
                yield from _all_groups(found, below if found is declared.annotation else f"{below}.NAME")


def _nearest(path: KeyPath, model: type[BaseModel]) -> str:
    key = str(path[-1])
    group = _model_at(path[:-1], model)
    known = list(group.model_fields) if group else []
    for place, other in _all_groups(model):
        if key in other.model_fields:
            return f"it belongs under {place}" if place else "it belongs to the left margin"
    near = get_close_matches(key, known, n=2, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known here are {', '.join(known)}"


def _example(path: KeyPath, model: type[BaseModel]) -> str:
    names = [step for step in path if isinstance(step, str)]
    group = _model_at(tuple(names[:-1]), model) if names else None
    declared = group.model_fields.get(names[-1]) if group else None
    examples: list[Any] = (declared.examples if declared else None) or []
    if not examples:
        return "write keys and values below it"
    example = examples[0]
    if isinstance(example, list):
        example = example[0] if isinstance(path[-1], int) else f"[{', '.join(example)}]"
    return f"write for example {example}"


def cross_check(data: Any, document: Document) -> None:
    """
    What no single value can tell: a peer without a key, and two names for one key on an interface.
    """
    entries = data.get("interfaces") if isinstance(data, dict) else None
    if not isinstance(entries, dict):
        return
    keys: dict[str, dict[str, PublicKey]] = {}
    named: set[str] = set()
    for pattern, entry in entries.items():
        own = keys[pattern] = dict[str, PublicKey]()
        for name, peer in _peers(entry):
            if "public_key" in peer:
                named.add(name)
            try:
                own[name] = PublicKey.parse(peer["public_key"])
            except (KeyError, TypeError, ValueError):
                continue  # told already, or told below
    for pattern, entry in entries.items():
        for name, _ in _peers(entry):
            if name not in named:
                path = ("interfaces", pattern, "peers", name)
                document.complain(path, "", "no entry gives this peer a public_key", "write public_key: ... below it")
    _tell_shared_keys(keys, document)


def _peers(entry: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    peers = entry.get("peers") if isinstance(entry, dict) else None
    for name, peer in peers.items() if isinstance(peers, dict) else ():
        if isinstance(peer, dict):
            yield name, peer


def _tell_shared_keys(keys: dict[str, dict[str, PublicKey]], document: Document) -> None:
    told: set[KeyPath] = set()
    for interface in keys:
        owners: dict[PublicKey, str] = {}
        merged = {  # name: (key, where it comes from), later entries over earlier ones
            name: (key, pattern)
            for pattern, own in keys.items()
            if fnmatchcase(interface, pattern)
            for name, key in own.items()
        }
        for name, (key, pattern) in merged.items():
            other = owners.setdefault(key, name)
            path = ("interfaces", pattern, "peers", name, "public_key")
            if other != name and path not in told:
                told.add(path)
                what = f"{other} has the same key, on the same interface"
                document.complain(path, key_text((key.short,)) + "...", what, "give each peer its own, or one name")
