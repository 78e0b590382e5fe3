"""From YAML text to plain values that remember their lines, and the errors that point there.

Parsing goes on where it can, so that one reading gives all errors: a duplicate key or an unknown tag is noted and the
rest is read. Only broken YAML ends it. Values that look like key material are never repeated in an error.
"""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from peerway.config_errors import Problem

Step = str | int
KeyPath = tuple[Step, ...]

_STANDARD_TAG: Final = "tag:yaml.org,2002:"
_MERGE: Final = f"{_STANDARD_TAG}merge"
_SECRET_WORDS: Final = ("key", "psk", "secret", "password", "token")
_LONGEST_VALUE: Final = 60
_REPEATED: Final = 100_000  # values that aliases may repeat; nine lines of aliases of aliases make a billion


@dataclass(slots=True)
class Document:
    """
    A file's values as dicts, lists and scalars, the line of each of them, and what was wrong so far.
    """

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def complain(self, path: KeyPath, value: str, what: str, cure: str) -> None:
        """
        Note an error at the place of `path`, or of the nearest one above that the file has.
        """
        here = path
        while here and here not in self.lines:
            here = here[:-1]
        self.problems.append(Problem(self.file, self.lines.get(here, 0), key_text(path), value, what, cure))


def key_text(path: KeyPath) -> str:
    """
    `interfaces.wg0.tables[1]`; a step with a dot or a glob in it is quoted.
    """
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if re.fullmatch(r"[\w-]+", step) else f'"{step}"')
    return text


def shown(path: KeyPath, value: object) -> str:
    """
    A value as an error may repeat it: short, on one line, and nothing of what could be a key of WireGuard.
    """
    match value:
        case None:
            return "(no value)"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{...}" if value else "{}"
        case list() | tuple():
            return "[...]" if value else "[]"
    text = str(value)
    name = next((step for step in reversed(path) if isinstance(step, str)), "").lower()
    if any(word in name for word in _SECRET_WORDS) or _looks_like_a_key(text):
        return f"({len(text)} characters)"
    text = text if text.isprintable() else repr(text)[1:-1]
    return (text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "...") or '""'


def _looks_like_a_key(text: str) -> bool:
    # Base64 or hex, with more or less of it cut off; a long path begins with / as one key in 64 does.
    if re.search(r"(?<![\w+/])(?:[A-Za-z0-9+][A-Za-z0-9+/]{41,}|/[A-Za-z0-9+/]{41,43}(?![\w+/]))", text):
        return True
    try:
        return len(base64.b64decode(text, validate=True)) == 32
    except (binascii.Error, ValueError):
        return False


def read_yaml(text: str, file: str) -> Document:
    """
    Parse YAML 1.2 into a Document. Never raises for what the text holds: broken YAML is a problem in the document.
    """
    document = Document(file)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it, and the warning prints the lines
            root = YAML(typ="safe", pure=True).compose(text)
        if root is not None:
            document.data = _Reader(document, len(text) + _REPEATED).value(root, ())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"not YAML: {error.problem or error.context}"
        document.problems.append(Problem(file, mark.line + 1 if mark else 0, "", "", what, _cure(text, mark)))
    except YAMLError as error:
        what = f"not YAML: {str(error).splitlines()[0]}"
        document.problems.append(Problem(file, 0, "", "", what, "write it as plain text in UTF-8"))
    except _TooManyError:
        document.problems.append(Problem(file, 0, "", "", "aliases repeat too much", "write the values out"))
    except RecursionError:
        document.problems.append(Problem(file, 0, "", "", "nested too deeply", "write it flat"))
    return document


def _cure(text: str, mark: Any) -> str:
    lines = text.splitlines()
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    near = "\n".join(lines[max(0, mark.line - 1) : mark.line + 1]) if mark else ""
    if "\t" in line:
        return "indent with spaces, not with tabs"
    if re.search(r"[\[,:\s]!\w", near):
        return 'write words that begin with ! in quotes: "!static"'
    if re.search(r"(?<![\"'\w])\*", line):
        return 'write a * in quotes: "*"'
    return "check indentation, colons and quotes there and in the line before"


class _TooManyError(Exception):
    """There are more values than their text can hold, and than aliases may repeat."""


class _Reader:
    """Turns composed nodes into values. The composer has resolved tags and aliases, the reader keeps the lines."""

    def __init__(self, document: Document, limit: int) -> None:
        self._document = document
        self._left = limit
        self._scalars = YAML(typ="safe", pure=True).constructor
        self._open: set[int] = set()

    def value(self, node: Node, path: KeyPath) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooManyError
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if not str(node.tag).startswith(_STANDARD_TAG):
            self._document.complain(
                path, str(node.tag).rstrip(","), "an unquoted ! starts a tag of YAML", 'put the word in quotes: "!..."'
            )
            return Unreadable
        if id(node) in self._open:
            self._document.complain(path, "", "an alias that contains itself", "write the values out")
            return Unreadable
        self._open.add(id(node))
        try:
            match node:
                case MappingNode():
                    return self._mapping(node, path)
                case SequenceNode():
                    return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
                case _:
                    return self._scalar(node, path)
        finally:
            self._open.discard(id(node))

    def _scalar(self, node: Node, path: KeyPath) -> Any:
        if str(node.tag).removeprefix(_STANDARD_TAG) not in {"bool", "int", "float", "null"}:
            return node.value
        try:
            return self._scalars.construct_object(node)
        except (ValueError, OverflowError):
            self._document.complain(
                path, shown(path, node.value), "not a number that can be read", "write fewer digits"
            )
            return Unreadable

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for _, value_node in (pair for pair in node.value if pair[0].tag == _MERGE):
            merged = self._merged(value_node, path) | merged
        for key_node, value_node in (pair for pair in node.value if pair[0].tag != _MERGE):
            if not isinstance(key_node, ScalarNode):
                self._document.complain(path, "", "a key that is a list or a mapping", "write a plain word as key")
                continue
            key = str(key_node.value)
            here, line = (*path, key), key_node.start_mark.line + 1
            if key in found:
                what = f"given twice, first in line {self._document.lines[here]}"
                self._document.problems.append(
                    Problem(self._document.file, line, key_text(here), "", what, "keep one of the two")
                )
                continue
            self._document.lines[here] = line
            found[key] = self.value(value_node, here)
        return merged | found

    def _merged(self, node: Node, path: KeyPath) -> dict[str, Any]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        result: dict[str, Any] = {}
        for source in sources:
            value = self.value(source, path)
            if isinstance(value, dict):
                result = value | result
            else:
                self._document.complain(path, "", "<< merges something that is no mapping", "name an anchored mapping")
        return result


class _UnreadableType:
    """Stands for a value that was already complained about, so that it is not complained about again."""


Unreadable: Final = _UnreadableType()


def control_socket_of(file: Path) -> Path | None:
    """
    The control socket that a configuration names, None if it names none or cannot be read: a guess for a client
    that need not judge the file.
    """
    try:
        data = read_yaml(file.read_text(encoding="utf-8"), str(file)).data
    except (OSError, UnicodeDecodeError):
        return None
    daemon = data.get("daemon") if isinstance(data, dict) else None
    value = daemon.get("control_socket") if isinstance(daemon, dict) else None
    return Path(value) if isinstance(value, str) and value else None
