"""Keys: public ones have wg(8)'s text, secret ones show nowhere."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import traceback
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerway.model.keys import LENGTH, PublicKey, Secret
from peerway.model.setup import DeviceConfig
from tests.harness.wg_strategies import KEYS

RAW = bytes(range(100, 132))
TEXT = base64.b64encode(RAW).decode()
SECRET = Secret(RAW)


def shows(text: str) -> bool:
    """Whether a text has the secret in any of the forms that a key can have."""
    return any(form in text for form in (TEXT, TEXT[:12], RAW.hex(), RAW.hex()[:12], repr(RAW)[2:14], str(list(RAW))))


@given(KEYS)
def test_a_public_key_is_read_from_its_text(key: PublicKey) -> None:
    """The text is 44 characters of base64, and gives the same key."""
    assert len(str(key)) == 44
    assert base64.b64decode(str(key)) == bytes(key)
    assert PublicKey.parse(str(key)) == key
    assert repr(key) == f"PublicKey({key})"
    assert str(key).startswith(key.short)
    assert len(key.short) == 8


@given(st.lists(KEYS, max_size=6))
def test_public_keys_sort_by_their_bytes(keys: list[PublicKey]) -> None:
    """The lowest key is the one with the lowest bytes, not the lowest text."""
    assert [bytes(key) for key in sorted(keys)] == sorted(bytes(key) for key in keys)


@given(st.binary(max_size=70).filter(lambda raw: len(raw) != LENGTH))
def test_keys_of_another_length_are_refused(raw: bytes) -> None:
    """Neither kind of key is made of anything but 32 bytes."""
    for kind in (PublicKey, Secret):
        with pytest.raises(ValueError, match=f"32 bytes, not {len(raw)}"):
            kind(raw)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()))
def test_a_refused_text_is_not_repeated(text: str) -> None:
    """What somebody wrote where a key belongs may be a private key, so no error has it, nor its cause."""
    for kind in (PublicKey, Secret):
        try:
            kind.parse(text)
        except ValueError as error:
            told = "".join(traceback.format_exception(error)[-1:])
            assert "44 characters" in told
            assert len(text) < 12 or text not in told
            assert error.__suppress_context__ or error.__context__ is None  # noqa: PT017


def test_the_errors_of_keys_tell_the_cure() -> None:
    """A key of a wrong length is told with its length, since one character too few is the usual mistake."""
    with pytest.raises(ValueError, match="this one has 31 bytes"):
        PublicKey.parse(base64.b64encode(bytes(31)).decode())


@pytest.mark.parametrize(
    "text",
    [
        repr(SECRET),
        str(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        f"{SECRET:x>60}",
        format(SECRET, "s"),
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 - this way is what is checked
        "{0} {0!r} {0!s}".format(SECRET),  # noqa: UP032
        repr([SECRET]) + repr({"key": SECRET}),
        repr(DeviceConfig(private_key=SECRET)),
    ],
)
def test_a_secret_prints_as_hidden(text: str) -> None:
    """No way of formatting shows a byte of it."""
    assert "hidden" in text
    assert not shows(text)


def test_a_secret_is_not_serialised() -> None:
    """json, pickle and copies that pickle refuse it, and their errors do not show it."""
    for attempt in (
        lambda: json.dumps({"key": SECRET}),
        lambda: pickle.dumps(SECRET),
        lambda: pickle.dumps([SECRET], protocol=0),
        lambda: copy.deepcopy(SECRET),
        lambda: asdict(DeviceConfig(private_key=SECRET)),
    ):
        with pytest.raises(TypeError) as caught:
            attempt()
        assert not shows(str(caught.value))
    assert not shows(json.dumps({"key": SECRET}, default=str))


def test_a_secret_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a log line nor a traceback with the secret in an exception shows it."""
    log = logging.getLogger("keys")
    try:
        pickle.dumps(SECRET)
    except TypeError as error:
        error.add_note(f"{SECRET}")
        log.exception("a key %s, and %r", SECRET, {"psk": SECRET})
    assert "hidden" in caplog.text
    assert not shows(caplog.text)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_secrets_are_equal_by_their_bytes(one: bytes, other: bytes) -> None:
    """Equal secrets are equal and hash alike; only `reveal` gives the bytes."""
    assert (Secret(one) == Secret(other)) == (one == other)
    assert hash(Secret(one)) == hash(Secret.parse(base64.b64encode(one).decode()))
    assert Secret(one).reveal() == one
    assert Secret(one) != one
