from __future__ import annotations

import io
import warnings
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from peerway.config_errors import ConfigError, Problem
from peerway.config_text import control_socket_of, key_text, read_yaml, shown

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc 01.-x", max_size=8)
words = st.text("abcxyz", min_size=1, max_size=5)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


@given(st.dictionaries(words, trees, min_size=1))
def test_values_are_those_of_the_yaml_library(tree: object) -> None:
    """Our reading gives the same values as ruamel.yaml's own, and a line for the root."""
    stream = io.StringIO()
    YAML(typ="safe", pure=True).dump(tree, stream)
    document = read_yaml(stream.getvalue(), "f")
    assert document.data == tree
    assert document.problems == []
    assert document.lines[()] == 1


def test_each_key_and_entry_knows_its_line() -> None:
    """Keys have the line of the key, entries of lists their own."""
    lines = read_yaml("a:\n  b:\n    - 1\n    - 2\nc: {d:\n  3}\n", "f").lines
    assert {key_text(path): line for path, line in lines.items() if path} == {
        "a": 1, "a.b": 2, "a.b[0]": 3, "a.b[1]": 4, "c": 5, "c.d": 5,
    }  # fmt: skip


def test_anchors_and_merge_keys_work() -> None:
    """Anchors, aliases and << are read; explicit keys stand over merged ones, also when they come first."""
    text = "x: &x {a: 1, b: 2}\ny:\n  b: 3\n  <<: *x\nz: {<<: [{a: 5}, *x]}\n"
    document = read_yaml(text, "f")
    assert document.data == {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 5, "b": 2}}
    assert document.lines["y", "b"] == 3


def test_an_alias_that_contains_itself_is_an_error() -> None:
    """A recursive structure ends in a sentence, not in a recursion."""
    assert "contains itself" in str(read_yaml("a: &a\n  b: *a\n", "f").problems[0])


def test_what_is_no_utf8_text_or_nested_without_end_is_an_error() -> None:
    """Control characters and absurd nesting end in a sentence."""
    assert "not YAML" in str(read_yaml("a: \x01", "f").problems[0])
    assert "nested too deeply" in str(read_yaml("[" * 5000, "f").problems[0])


def test_aliases_that_multiply_are_an_error() -> None:
    """Ten lines that mean a billion values end in a sentence; many peers that share an alias are read."""
    laughs = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 10))
    assert "aliases repeat too much" in str(read_yaml(f"x0: &x0 a\n{laughs}", "f").problems[0])
    shared = "".join(f"p{n}: *x\n" for n in range(2000))
    document = read_yaml(f"x: &x [a, b, c, d]\n{shared}", "f")
    assert (len(document.data), document.problems) == (2001, [])


def test_an_anchor_that_is_used_again_is_no_news() -> None:
    """YAML allows it; no warning prints lines of the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_yaml("a: &x 1\nb: &x 2\nc: *x\n", "f").data == {"a": 1, "b": 2, "c": 2}


@given(st.text(max_size=300))
def test_a_shown_value_is_one_short_line(text: str) -> None:
    """Whatever the value, an error repeats it on one line of bounded length."""
    assert len(shown(("a",), text)) <= 60
    assert shown(("a",), text).isprintable()


def test_an_error_without_a_place_leaves_the_parts_out() -> None:
    """A problem of the file as a whole has neither line nor key, and an error lists problems by line."""
    whole = Problem("f", 0, "", "", "no such file", "make it")
    placed = Problem("f", 7, "a.b", "1", "wrong", "right it")
    assert str(whole) == "f: no such file; make it"
    assert str(ConfigError([placed, whole])) == "f: no such file; make it\nf:7: a.b: 1: wrong; right it"


def test_the_control_socket_is_found_without_judging_the_file(tmp_path: Path) -> None:
    """The client learns the socket from a file with errors elsewhere, and nothing from one that it cannot read."""
    file = tmp_path / "f.yaml"
    file.write_text("daemon: {control_socket: /x/y, wrong: 1}\nfoo: 1\n")
    assert control_socket_of(file) == Path("/x/y")
    for text in ("", "daemon: 3", "- 1", "daemon: {control_socket: 3}", "a: b: c"):
        file.write_text(text)
        assert control_socket_of(file) is None
    assert control_socket_of(tmp_path / "missing") is None
