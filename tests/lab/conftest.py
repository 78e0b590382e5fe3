"""The lab needs root and says so once, for every test in it."""

from __future__ import annotations

import pytest

from tests.harness.need import need_root


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root()
