"""Packed requests are the same bytes as requests that are made one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model import columns as cl
from peerway.model import prefix as px
from peerway.model.prefix import Prefix
from peerway.model.route import Path
from peerway.protocols import netlink as nl
from peerway.protocols.rtpack import packed
from peerway.protocols.rtrequest import RouteTemplate
from tests.harness.routes import prefixes, routes


@given(routes(), st.data(), st.booleans(), st.integers(1, 600))
def test_packed_requests_are_what_templates_give(
    route: tuple[Prefix, Path], data: st.DataObject, exact: bool, limit: int
) -> None:
    """For each path, family and number of prefixes, in parts of any size, each within the limit."""
    family = px.family(route[0])
    wanted = sorted(set(data.draw(st.lists(prefixes(family), min_size=1, max_size=12))))
    template = RouteTemplate(family, route[1], exact=exact)
    got, told = b"", list[Prefix]()
    for rows, part in packed(template, 24, 0x600, cl.make(family, wanted), limit):
        assert len(part) == 1 or rows.nbytes <= limit
        got += rows.tobytes()
        told += cl.prefixes(part)
    assert told == wanted
    assert got == b"".join(nl.message(24, 0x601, 0, template.payload(prefix)) for prefix in wanted)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "255.255.255.255/32", "::/128"])
def test_the_ends_of_the_address_space_are_packed(text: str) -> None:
    """The default routes, the first and the last address keep their bits."""
    prefix = px.parse(text)
    template = RouteTemplate(px.family(prefix), Path(254, 4, 0))
    ((rows, _),) = packed(template, 24, 0, cl.make(px.family(prefix), [prefix]), 1 << 16)
    assert rows.tobytes()[16:] == template.payload(prefix)
