"""Three sites of a small company, joined by an "internet": each a namespace with one WireGuard interface and BIRD.

Everything hangs on a number: site 2 has the underlay address 192.0.2.2, the networks 10.2.0.0/24 and 2001:db8:2::/48
behind it, and the AS 65002. A service with networks of its own runs in Paris and Oslo.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from peerway.lab import wireguard
from peerway.lab.bird import Bird
from peerway.lab.namespace import Namespace, link
from peerway.lab.wireguard import WireGuard
from peerway.model import prefix as px
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.policy import Policy

NAMES: Final = ("berlin", "paris", "oslo")
SCRIPT: Final = Path(sys.executable).with_name("peerway")
PEERWAY: Final = (str(SCRIPT),) if SCRIPT.exists() else (sys.executable, "-m", "peerway")
SERVERS: Final = ("paris", "oslo")  # where the service runs
SERVICE: Final = "10.99.0.0/24"
SERVICE6: Final = "2001:db8:99::/48"
SERVICE_ADDRESS: Final = "10.99.0.1"

BIRD_HEAD: Final = """
log stderr {{ warning, error, fatal, bug }};
router id 192.0.2.{number};
protocol device {{ scan time 1; }}
protocol direct {{ ipv4; ipv6; interface "lan"; }}
protocol kernel {{ ipv4 {{ import none;
    export filter {{ if source != RTS_BGP then reject; krt_prefsrc = 10.{number}.0.1; accept; }}; }}; }}
protocol kernel {{ ipv6 {{ import none;
    export filter {{ if source != RTS_BGP then reject; krt_prefsrc = 2001:db8:{number}::1; accept; }}; }}; }}
protocol static service {{ disabled; ipv4; route 10.99.0.0/24 unreachable; }}
protocol static service6 {{ disabled; ipv6; route 2001:db8:99::/48 unreachable; }}
filter ours {{ if source = RTS_BGP then reject; accept; }}
"""

# The neighbour is a link-local address on the WireGuard interface, so IPv4 routes get an IPv6 next hop (RFC 8950).
BIRD_SESSION: Final = """
protocol bgp {name} {{
    local {local} as {own_as}; neighbor {gateway} as {as_number}; interface "{device}"; direct;
    connect delay time 1; connect retry time 1; error wait time 1, 2; hold time 9; keepalive time 3;
    ipv4 {{ import all; export filter ours; extended next hop on; next hop self; }};
    ipv6 {{ import all; export filter ours; next hop self; }};
}}
"""


@dataclass(slots=True)
class Site:
    """
    One site: its namespace and what runs in it.
    """

    name: str
    number: int
    namespace: Namespace
    device: WireGuard
    home: Path
    bird: Bird
    peerway: subprocess.Popen[bytes] | None = None
    routing: subprocess.Popen[bytes] | None = None

    @property
    def gateway(self) -> str:
        """
        The address that names this site at the others: derived from its public key.
        """
        prefix = Policy().prefixes[0]
        return px.address_text(derived_address(prefix, PublicKey.parse(self.device.public_key)))

    @property
    def network(self) -> str:
        """
        The IPv4 network behind the site.
        """
        return f"10.{self.number}.0.0/24"

    @property
    def address(self) -> str:
        """
        The site's own address in its network.
        """
        return f"10.{self.number}.0.1"

    @property
    def config(self) -> Path:
        """
        The configuration of its peerway.
        """
        return self.home / f"{self.name}.yaml"

    @property
    def log(self) -> Path:
        """
        What its peerway says.
        """
        return self.home / f"{self.name}.log"

    @property
    def socket(self) -> Path:
        """
        The control socket of its peerway.
        """
        return self.home / f"{self.name}.sock"

    def command(self, *words: str) -> list[str]:
        """
        The peerway command, for this site's daemon.
        """
        return [*PEERWAY, "-s", str(self.socket), *words]

    def start_peerway(self) -> None:
        """
        Start the daemon beside the site's BIRD.
        """
        self.config.write_text(
            f"daemon:\n  control_socket: {self.socket}\n  state_directory: {self.home}/{self.name}\n"
        )
        (self.home / self.name).mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self.peerway = self.namespace.popen(*PEERWAY, "run", "-c", str(self.config), stdout=log)

    def kill_peerway(self) -> None:
        """
        SIGKILL: it has no chance to clear up.
        """
        if self.peerway is not None:
            self.peerway.kill()
            self.peerway.wait()
            self.peerway = None

    def trouble(self) -> str:
        """
        Which of its programs ended by itself; empty if none did.
        """
        started = {"peerway": self.peerway, "BIRD": self.routing}
        ended = [name for name, process in started.items() if process is not None and process.poll() is not None]
        return f"{' and '.join(ended)} ended at {self.name}" if ended else ""

    def start_bird(self, sites: Sequence[Site]) -> None:
        """
        Start BIRD with a session to each other site.
        """
        text = BIRD_HEAD.format(number=self.number)
        for other in sites:
            if other is not self:
                text += BIRD_SESSION.format(
                    name=other.name,
                    local=self.gateway,
                    own_as=65000 + self.number,
                    gateway=other.gateway,
                    as_number=65000 + other.number,
                    device=self.device.name,
                )
        self.routing = self.bird.start(text)

    def announce(self) -> None:
        """
        Announce the service's networks from here.
        """
        for which in ("service", "service6"):
            self.bird.ask("enable", which)

    def withdraw(self) -> None:
        """
        Announce them no longer.
        """
        for which in ("service6", "service"):
            self.bird.ask("disable", which)

    def holds(self, peer: Site) -> set[str]:
        """
        The AllowedIPs of another site, as this one's WireGuard has them.
        """
        return self.device.allowed_ips().get(peer.device.public_key, set())


def namespace_of(name: str, kept: bool) -> Namespace:  # noqa: FBT001 - said by the one caller's keyword
    """A namespace for a part of the demo, with a plain name if it is to be kept."""
    return Namespace(name, name=f"peerway-{name}" if kept else None)


@contextlib.contextmanager
def built(home: Path, *, kept: bool) -> Iterator[list[Site]]:
    """
    The three sites, joined and with WireGuard, but without routes. They go at the end, unless they are `kept` and
    the body did not raise.
    """
    with contextlib.ExitStack() as stack:
        internet = stack.enter_context(namespace_of("internet", kept))
        internet.batch(["link add net type bridge", "link set net up"])
        sites = []
        for number, name in enumerate(NAMES, 1):
            namespace = stack.enter_context(namespace_of(name, kept))
            inside, _ = link(internet, namespace, [], [f"192.0.2.{number}/24"], names=(name, "eth0"))
            internet.ip("link", "set", inside, "master", "net")
            namespace.batch(
                [
                    "link add lan type bridge",
                    f"address add 10.{number}.0.1/24 dev lan",
                    f"address add 2001:db8:{number}::1/48 dev lan",
                    "link set lan up",
                ]
            )
            if name in SERVERS:
                namespace.ip("address", "add", f"{SERVICE_ADDRESS}/32", "dev", "lo")
            device = wireguard.create(namespace, f"wg-{name}")
            sites.append(Site(name, number, namespace, device, home, Bird(namespace, home, name)))
        for left in sites:
            for right in sites[left.number :]:
                wireguard.connect(left.device, right.device, f"192.0.2.{left.number}", f"192.0.2.{right.number}")
        yield sites
        if kept:
            stack.pop_all()
