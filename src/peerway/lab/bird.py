"""BIRD in a namespace: a configuration in its own words, the process, and questions through birdc."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peerway.lab.namespace import CommandError, Namespace

SBIN = "/usr/sbin"  # where Debian keeps daemons, which a user's PATH may lack


def program(name: str) -> str:
    """The path of `bird` or `birdc`. Raises CommandError with the cure if it is missing."""
    found = shutil.which(name) or shutil.which(name, path=SBIN)
    if found is None:
        raise CommandError(f"{name} is missing: apt-get install bird2")
    return found


@dataclass(frozen=True, slots=True)
class Bird:
    """
    One BIRD, with its files below `home`. `label` tells its socket apart from others in the same place.
    """

    namespace: Namespace
    home: Path
    label: str

    @property
    def socket(self) -> Path:
        """
        Its control socket.
        """
        return self.home / f"{self.label}.ctl"

    @property
    def log(self) -> Path:
        """
        What it says.
        """
        return self.home / f"{self.label}.bird.log"

    def start(self, config: str) -> subprocess.Popen[bytes]:
        """
        Write the configuration and start BIRD in the foreground; it ends with the namespace.
        """
        path = self.home / f"{self.label}.bird.conf"
        path.write_text(config)
        with self.log.open("wb") as log:
            return self.namespace.popen(program("bird"), "-f", "-c", str(path), "-s", str(self.socket), stdout=log)

    def ask(self, *words: str) -> str:
        """
        Run a birdc command, empty while BIRD does not answer yet; restricted to nothing, so `enable` works too.
        """
        return self.namespace.run(program("birdc"), "-s", str(self.socket), *words, check=False)

    def established(self) -> set[str]:
        """
        The names of the BGP sessions that are up.
        """
        rows = (line.split() for line in self.ask("show", "protocols").splitlines())
        return {row[0] for row in rows if len(row) > 5 and row[1] == "BGP" and row[5] == "Established"}
