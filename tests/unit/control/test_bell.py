"""The first caller of the control socket brings in the server, and gets its answer."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from peerway.control import bell
from peerway.control.access import Access
from peerway.control.listener import SocketTakenError
from tests.unit.control.fake_daemon import STATUS, FakeDaemon


async def _ask(path: Path) -> object:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_who_calls_is_answered(tmp_path: Path) -> None:
    """Those who call at once are answered, and those who come later; in the end the socket is gone."""
    daemon, path = FakeDaemon(), tmp_path / "s"
    async with bell.serve(daemon, path, Access.of()):
        assert list(await asyncio.gather(_ask(path), _ask(path))) == [STATUS, STATUS]
        assert await _ask(path) == STATUS
    assert not path.exists()


async def test_nobody_has_to_call(tmp_path: Path) -> None:
    """Without a caller there is a socket that another daemon does not take, and then none."""
    path = tmp_path / "s"
    async with bell.serve(FakeDaemon(), path, Access.of()):
        await asyncio.sleep(0)
        with pytest.raises(SocketTakenError):
            async with bell.serve(FakeDaemon(), path, Access.of()):
                pass
    assert not path.exists()


async def test_a_server_that_cannot_be_had_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its library nobody is answered, which the log says; all else goes on."""
    called = asyncio.Event()
    loop = asyncio.get_running_loop()

    def missing() -> bell.Serve:
        loop.call_soon_threadsafe(called.set)
        raise ModuleNotFoundError("no module named aiohttp")

    monkeypatch.setattr(bell, "_load", missing)
    async with bell.serve(FakeDaemon(), tmp_path / "s", Access.of()):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        await called.wait()
        await asyncio.sleep(0.01)
        writer.close()
    assert "nobody answers on the control socket" in caplog.text


def test_the_daemon_loads_no_http() -> None:
    """What the daemon imports at its start has nothing of the HTTP library in it."""
    code = "import sys, peerway.daemon; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_socket_that_was_inherited_is_answered_and_stays(tmp_path: Path) -> None:
    """Who called before the daemon was there is answered, and the file is not ours to remove."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(b"GET /v1/status HTTP/1.0\r\n\r\n")
        async with bell.serve(FakeDaemon(), tmp_path / "other", Access.of(), listener):
            assert (await reader.read()).startswith(b"HTTP/1.0 200")
            writer.close()
        assert (tmp_path / "s").is_socket()
        assert not (tmp_path / "other").exists()
