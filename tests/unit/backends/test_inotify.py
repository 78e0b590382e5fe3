"""A watch of a directory: names that come and go give a hint, also after the directory itself came or went."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerway.backends.inotify import DirectoryWatch


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[DirectoryWatch]:
    made = DirectoryWatch(tmp_path / "here")
    yield made
    made.close()


def hinted(watch: DirectoryWatch) -> bool:
    """Whether a hint waits; reads it."""
    ready = bool(select.select([watch], [], [], 0)[0])
    watch.read_hints()
    return ready


def test_directory_that_comes_and_goes(watch: DirectoryWatch, tmp_path: Path) -> None:
    """Each step gives a hint, in the directory's first and second life."""
    here = tmp_path / "here"
    for _ in range(2):
        here.mkdir()
        assert hinted(watch)
        (here / "wg0.sock").touch()
        assert hinted(watch)
        (here / "wg0.sock").unlink()
        assert hinted(watch)
        here.rmdir()
        assert hinted(watch)


def test_contents_are_not_looked_at(watch: DirectoryWatch, tmp_path: Path) -> None:
    """Writing to a file, or nothing at all, is no hint; reading hints when none wait does not block."""
    here = tmp_path / "here"
    here.mkdir()
    hinted(watch)
    (here / "log").touch()
    while hinted(watch):
        pass  # leaving the ancestor gives a hint of its own
    (here / "log").write_text("more")
    assert not hinted(watch)


def test_elsewhere_does_not_count_once_it_is_there(watch: DirectoryWatch, tmp_path: Path) -> None:
    """The ancestor is watched only while it is needed."""
    (tmp_path / "here").mkdir()
    while hinted(watch):
        pass
    (tmp_path / "other").touch()
    assert not hinted(watch)


def test_deep_absence(tmp_path: Path) -> None:
    """Several levels may be missing."""
    watch = DirectoryWatch(tmp_path / "a" / "b" / "c")
    (tmp_path / "a").mkdir()
    assert hinted(watch)
    (tmp_path / "a" / "b").mkdir()
    assert hinted(watch)
    (tmp_path / "a" / "b" / "c").mkdir()
    assert hinted(watch)
    watch.close()
    watch.close()
