from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peerway import __version__
from peerway.cli.main import VERBS
from tests.unit.cli.conftest import Peerway, run
from tests.unit.control.fake_daemon import FakeDaemon, route, running

COSTLY = ("pydantic", "rich", "aiohttp", "nacl", "ruamel", "asyncio", "http", "ssl", "peerway.config", "peerway.daemon")
PRELUDE = "import sys; from peerway.cli.main import main"


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["--help"], ["route", "add", "--help"], ["--version"], ["completion", "bash"]])
def test_help_and_completion_import_nothing_costly(words: list[str]) -> None:
    """Asking for help starts neither the daemon's libraries nor those of the configuration."""
    loaded = f"[m for m in {COSTLY} if any(n == m or n.startswith(m + '.') for n in sys.modules)]"
    done = python(f"{PRELUDE}\ntry: main()\nfinally: print({loaded}, file=sys.stderr)", *words)
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", ["status", "routes", "why", "verify"])
def test_asking_the_daemon_imports_no_server_and_no_schema(verb: str, tmp_path: Path) -> None:
    """A question over the socket needs neither aiohttp nor pydantic nor libsodium."""
    loaded = "[m for m in ('pydantic', 'aiohttp', 'nacl', 'asyncio', 'rich') if m in sys.modules]"
    code = f"{PRELUDE}\ntry: main()\nfinally: print({loaded}, file=sys.stderr)"
    with running(FakeDaemon(), tmp_path / "s"):
        done = python(code, "-s", str(tmp_path / "s"), verb, *(["10.0.0.1"] if verb == "why" else []))
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(peerway: Peerway, verb: str) -> None:
    """Each verb of DESIGN section 7 is there, with a sentence in the list that is not cut off."""
    assert peerway(verb, "--help").exit_code == 0
    line = next(line for line in peerway("--help").output.splitlines() if line.startswith(f"  {verb} "))
    assert len(line.split()) > 2
    assert line.endswith(".")
    assert not line.endswith("...")


def test_the_version_is_told(alone: Peerway) -> None:
    """--version prints name and version."""
    assert alone("--version").output == f"peerway, version {__version__}\n"


@pytest.mark.parametrize("words", ["nonsense", "status --nonsense", "status a b c", "why", "route"])
def test_wrong_usage_is_exit_2(alone: Peerway, words: str) -> None:
    """A verb, an option or an argument that is not there is wrong usage, before any daemon is asked."""
    assert alone(*words.split()).exit_code == 2


ASKING = ["status", "routes", "why 10.0.0.1", "monitor", "verify", "sync", "reload"]
ASKING += ["route add 10.0.0.0/8 via-peer x", "route del 10.0.0.0/8 via-peer x", "routes --json"]


@pytest.mark.parametrize("words", ASKING)
def test_without_a_daemon_each_question_is_exit_3(alone: Peerway, words: str) -> None:
    """No daemon on the socket: the path, the cure, exit code 3, and nothing on standard output."""
    done = alone(*words.split())
    assert done.exit_code == 3
    assert "start it with `systemctl start peerway` or `peerway run`" in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_who_may_not_open_the_socket_gets_exit_4(tmp_path: Path) -> None:
    """A user who is neither root nor in the socket's group is told so."""
    with running(FakeDaemon(), tmp_path / "s"):
        assert run("-s", str(tmp_path / "s"), "status").exit_code == 0  # all is imported now, for nobody reads it later
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            os._exit(run("-s", str(tmp_path / "s"), "status").exit_code)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 4


def test_the_environment_may_name_the_socket(daemon: FakeDaemon, tmp_path: Path) -> None:
    """PEERWAY_SOCKET stands in for -s."""
    code = f"{PRELUDE}; main()"
    with running(daemon, tmp_path / "s"):
        environment = {**os.environ, "PEERWAY_SOCKET": str(tmp_path / "s")}
        done = subprocess.run([sys.executable, "-c", code, "sync"], env=environment, check=False, capture_output=True)
    assert done.returncode == 0
    assert daemon.asked == [("sync", None)]


@pytest.mark.parametrize("words", ["routes", "routes --json"])
def test_a_reader_that_has_enough_is_no_error(daemon: FakeDaemon, tmp_path: Path, words: str) -> None:
    """`peerway routes | head -1` ends quietly with 0, long before the end of the table."""
    daemon.entries = [route(number) for number in range(100_000)]
    with running(daemon, tmp_path / "s"):
        command = [sys.executable, "-c", f"{PRELUDE}; main()", "-s", str(tmp_path / "s"), *words.split()]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.wait(60) == 0
            assert process.stderr.read() == b""
    assert daemon.pulled < 100_000


def test_colour_needs_a_terminal_and_no_color_forbids_it(daemon: FakeDaemon, peerway: Peerway) -> None:
    """A pipe gets plain text; a terminal gets colour, unless NO_COLOR is set."""
    assert "\x1b" not in peerway("status").output
    assert "\x1b" in peerway("status", color=True).output
