from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.backends.names import MAX_TABLE, PROTOCOLS, TABLES, Names


def write(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_builtin_names_need_no_file(tmp_path: Path) -> None:
    """The names that each kernel has are known without any file, and read both ways."""
    names = Names.read((tmp_path / "missing",))
    for name, number in TABLES.items():
        assert names.table(name) == number
        assert names.table_name(number) == name
    for name, number in PROTOCOLS.items():
        assert names.protocol(name) == number
        assert names.protocol_name(number) == name


@given(st.integers(1, MAX_TABLE))
def test_a_number_names_itself(number: int) -> None:
    """Any table number is read in decimal and in hex, and its name leads back to it."""
    names = Names()
    assert names.table(number) == names.table(str(number)) == names.table(hex(number)) == number
    assert names.table(names.table_name(number)) == number


def test_the_administrators_names_stand_over_the_distributions(tmp_path: Path) -> None:
    """Files are read in order, *.conf files too; the last one to name a number gives its name."""
    write(tmp_path / "usr", "rt_tables", "100 blue\n0xc8 green # hex\n# 5 comment\n")
    write(tmp_path / "etc", "rt_tables", "101 blue\n")
    write(tmp_path / "etc", "rt_tables.d/site.conf", "200\tlime\n")
    write(tmp_path / "usr", "rt_protos", "70 old\n70 new\n")
    write(tmp_path / "etc", "rt_protos", "70 old\n")
    write(tmp_path / "etc", "rt_tables.d/README", "300 unread\n")
    write(tmp_path / "etc", "rt_protos.d/own.conf", "77 own\n")
    names = Names.read((tmp_path / "usr", tmp_path / "etc"))
    assert names.table("blue") == 101
    assert (names.table("green"), names.table("lime"), names.table_name(200)) == (200, 200, "lime")
    assert names.protocol("own") == 77
    assert names.protocol_name(70) == "old"
    assert "unread" not in names.tables
    assert "5" not in names.tables


def test_a_name_that_two_numbers_share_means_the_lowest_and_filters_both(tmp_path: Path) -> None:
    """FRR calls its 196 "static" as the kernel its 4: ip(8) takes the name for 4, a filter means either."""
    write(tmp_path, "rt_protos.d/frr.conf", "196 static\n")
    names = Names.read((tmp_path,))
    assert names.protocol("static") == 4
    assert names.protocol_name(4) == names.protocol_name(196) == "static"
    assert names.all_protocols("static") == {4, 196}


def test_lines_that_are_not_entries_are_passed_by(tmp_path: Path) -> None:
    """A malformed line, a number too high or bytes that are no text spoil nothing else."""
    write(tmp_path, "rt_protos", "x y\n1 2 3\n256 high\n-1 low\n20 good\n1_0 under\n")
    (tmp_path / "rt_tables").write_bytes(b"\xff\xfe 1\n30 fine\n")
    names = Names.read((tmp_path,))
    assert set(names.protocols) - set(PROTOCOLS) == {"good"}
    assert names.table("fine") == 30


@pytest.mark.parametrize(
    ("value", "hint"),
    [("mian", "did you mean main"), ("zzz", "known are"), ("0", "from 1 to"), (MAX_TABLE + 1, "from 1")],
)
def test_an_unknown_table_is_told_with_a_cure(value: str | int, hint: str) -> None:
    """An unknown table names near ones, or all; a number out of range gives the range."""
    with pytest.raises(ValueError, match=hint):
        Names().table(value)


def test_an_unknown_protocol_is_told_with_near_names() -> None:
    """A misspelt protocol gets a suggestion."""
    with pytest.raises(ValueError, match=r"did you mean bird"):
        Names().protocol("brid")
    with pytest.raises(ValueError, match="from 0 to 255"):
        Names().protocol(256)
