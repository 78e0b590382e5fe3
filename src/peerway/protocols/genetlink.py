"""Generic netlink: its header, and the question which number a family has (linux/genetlink.h)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from peerway.protocols import netlink as nl
from peerway.protocols.errors import RemoteProtocolError

GENL_ID_CTRL: Final = 16
CTRL_CMD_GETFAMILY: Final = 3
CTRL_VERSION: Final = 2
CTRL_ATTR_FAMILY_ID: Final = 1
CTRL_ATTR_FAMILY_NAME: Final = 2

HEADER: Final = Struct("=BBxx")  # command, version


def family_request(name: str) -> bytes:
    """
    The payload of a GENL_ID_CTRL request for a family's number. The kernel loads the family's module if it can.
    """
    return HEADER.pack(CTRL_CMD_GETFAMILY, CTRL_VERSION) + nl.attribute_text(CTRL_ATTR_FAMILY_NAME, name)


def family_id(payload: nl.Buffer) -> int:
    """
    The number in the reply. Raises RemoteProtocolError.
    """
    found = attributes(payload)
    if CTRL_ATTR_FAMILY_ID not in found:
        raise RemoteProtocolError("genetlink: the answer to GETFAMILY has no family id")
    return nl.u16(found[CTRL_ATTR_FAMILY_ID])


def attributes(payload: nl.Buffer) -> dict[int, memoryview]:
    """
    The attributes of a message, by type. Raises RemoteProtocolError.
    """
    if len(payload) < HEADER.size:
        raise RemoteProtocolError(f"genetlink: a message of {len(payload)} bytes has no header")
    return nl.attributes(memoryview(payload)[HEADER.size :])
