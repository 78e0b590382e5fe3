"""The chaos lab needs root, and says so once."""

from __future__ import annotations

import pytest

from tests.harness.need import need_root


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root()
