"""Who may do what, as real users find it: by the kernel's word for them and the modes of real files."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from peerway.lab.namespace import Namespace
from peerway.lab.wireguard import WireGuard
from tests.harness.daemon import Daemon
from tests.harness.user import NOBODY, open_home, run_as

pytestmark = pytest.mark.host_only  # users are the same on every kernel, and a command takes seconds when emulated
DaemonMaker = Callable[..., Daemon]

KEY = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
READERS, ADMINS = 54321, 54322
ASKING = (["status"], ["status", "--json"], ["routes"], ["routes", "--json"], ["why", "10.0.0.1"], ["verify"])
CHANGING = (["sync"], ["reload"], ["route", "add", "10.0.0.0/24", "via-peer", KEY[:8]])
FORBIDDEN = (*ASKING, ["monitor"], *CHANGING, ["route", "del", "10.0.0.0/24", "via-peer", KEY[:8]], ["run"], ["demo"])


def started(daemon: DaemonMaker, namespace: Namespace, wg: WireGuard, **settings: int) -> Daemon:
    """A daemon with one peer, whose directory does not hide its socket."""
    wg.set_peer(KEY)
    running = daemon(namespace, {"daemon": settings})
    open_home(running.home)
    return running


@pytest.mark.parametrize("settings", [{}, {"read_group": READERS, "admin_group": ADMINS}])
def test_an_unprivileged_user_in_no_group_is_denied_all(
    wg: WireGuard, namespace: Namespace, daemon: DaemonMaker, settings: dict[str, int]
) -> None:
    """Everything that asks or changes ends with `permission denied` and 4, whichever mode the socket has."""
    running = started(daemon, namespace, wg, **settings)
    assert stat.S_IMODE(running.control_socket.stat().st_mode) == (0o666 if settings else 0o660)
    for words in FORBIDDEN:
        done = run_as(["-s", str(running.control_socket), *words])
        assert (done.code, "permission denied" in done.text) == (4, True), f"{words}: {done}"
    assert running.request("POST", "/v1/verify")["differences"] == []


def test_an_unprivileged_user_may_do_what_needs_no_daemon(
    wg: WireGuard, namespace: Namespace, daemon: DaemonMaker, tmp_path: Path
) -> None:
    """Help, derived addresses and the check of a file that the user can read work without any right."""
    running = started(daemon, namespace, wg)
    socket = ["-s", str(running.control_socket)]
    running.config_path.chmod(0o644)
    assert run_as([*socket, "--help"]).code == 0
    assert run_as([*socket, "status", "--help"]).code == 0
    done = run_as([*socket, "addresses", KEY])
    assert (done.code, done.text.startswith("fe80::")) == (0, True)
    done = run_as([*socket, "config", "check", str(running.config_path)])
    assert (done.code, "no errors" in done.text) == (0, True)


def test_members_of_the_groups_may_do_what_their_group_may(
    wg: WireGuard, namespace: Namespace, daemon: DaemonMaker
) -> None:
    """Readers ask and are denied changes, administrators do both; a group counts as the first and as a further one."""
    running = started(daemon, namespace, wg, read_group=READERS, admin_group=ADMINS)
    socket = ["-s", str(running.control_socket)]
    for groups in ([READERS], [NOBODY, 5, READERS]):
        for words in ASKING[:4]:
            assert run_as([*socket, *words], groups=groups).code == 0, words
        for words in CHANGING:
            done = run_as([*socket, *words], groups=groups)
            assert (done.code, "permission denied" in done.text) == (4, True), f"{words}: {done}"
    for words in (*ASKING[:4], *CHANGING):
        done = run_as([*socket, *words], groups=[NOBODY, ADMINS])
        assert done.code == 0, f"{words}: {done}"
    assert running.request("POST", "/v1/verify")["differences"] == []


def test_one_group_owns_the_socket(wg: WireGuard, namespace: Namespace, daemon: DaemonMaker) -> None:
    """With a group for readers alone the kernel keeps all others from the socket; its members may ask."""
    running = started(daemon, namespace, wg, read_group=READERS)
    found = running.control_socket.stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (READERS, 0o660)
    assert run_as(["-s", str(running.control_socket), "status"], groups=[NOBODY, READERS]).code == 0


def test_state_files_are_for_the_daemon_alone(wg: WireGuard, namespace: Namespace, daemon: DaemonMaker) -> None:
    """Ledgers and locks are 0600, whatever the umask allows."""
    running = started(daemon, namespace, wg)
    state = running.home / "state"
    assert {stat.S_IMODE(file.stat().st_mode) for file in state.iterdir()} == {0o600}
