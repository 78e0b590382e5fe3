"""FRR in a namespace: zebra, bgpd and staticd with files of their own, configured and asked through vtysh."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from peerway.lab.namespace import CommandError, Namespace

DIRECTORY: Final = Path("/usr/lib/frr")  # where Debian keeps the daemons; they are in nobody's PATH
DAEMONS: Final = ("zebra", "staticd", "bgpd")  # zebra first: the others connect to it
USER: Final = "frr"  # they refuse to run as anybody who is not in the group frrvty
START_TIMEOUT: Final = 60.0  # seconds, for a slow machine


@dataclass(frozen=True, slots=True)
class Frr:
    """
    One FRR, with its files in `home`, which must be a directory that everybody may enter. It ends with the namespace.
    """

    namespace: Namespace
    home: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> None:
        """
        Start the daemons with empty configurations. Raises CommandError if FRR is missing or one does not start.
        """
        self.home.mkdir(exist_ok=True)
        self.home.chmod(0o755)
        try:
            shutil.chown(self.home, USER, USER)
        except LookupError:
            raise CommandError("there is no user frr: apt-get install frr") from None
        for name in DAEMONS:
            self._start(name)

    def _start(self, name: str) -> None:
        config, socket = self.home / f"{name}.conf", self.home / f"{name}.vty"
        config.write_text("log stdout\n")
        words = ["-f", str(config), "-z", str(self.home / "zserv.api"), "-i", str(self.home / f"{name}.pid")]
        words += ["--vty_socket", str(self.home), "-P", "0", "-A", "::1"]
        if name == "zebra":
            words += ["-s", str(1 << 20)]  # a netlink buffer that any machine grants
        with (self.home / f"{name}.log").open("wb") as log:
            process = self.namespace.popen(str(DIRECTORY / name), *words, stdout=log)
        self.processes.append(process)
        deadline = time.monotonic() + START_TIMEOUT
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"in {self.namespace.name}: {name} did not start:\n{self.log(name)}")
            time.sleep(0.01)

    def log(self, name: str) -> str:
        """
        What a daemon said so far.
        """
        path = self.home / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def vtysh(self, *commands: str) -> str:
        """
        Run commands one after the other, and return what they print. Raises CommandError.
        """
        words = [word for command in commands for word in ("-c", command)]
        return self.namespace.run("vtysh", "--vty_socket", str(self.home), *words)

    def configure(self, text: str) -> None:
        """
        Type configuration commands, one a line. Raises CommandError with what vtysh did not like.
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        told = self.vtysh("configure terminal", *lines)
        if "%" in told:  # it begins all its complaints so, and ends with status 0 all the same
            raise CommandError(f"in {self.namespace.name}: vtysh: {told.strip()}")

    def show(self, what: str) -> Any:
        """
        `show WHAT json`, decoded; an empty mapping if there is no answer yet.
        """
        return json.loads(self.vtysh(f"show {what} json") or "{}")

    def established(self) -> set[str]:
        """
        The neighbours whose BGP sessions are up.
        """
        peers = self.show("bgp ipv4 unicast summary").get("peers", {})
        return {neighbour for neighbour, peer in peers.items() if peer["state"] == "Established"}
