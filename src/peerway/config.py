"""The settings: one declaration each, with key, type, default and help. Schema, reference and errors come from it.

A file gives entries per interface name or glob. `Config.policy` lays those that match over each other, in the order of
the file, key by key, and gives what the engine works with: numbers and keys instead of names and text.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from peerway import config_values as values
from peerway import settings as plain
from peerway.backends.names import Names
from peerway.config_errors import ConfigError, Problem
from peerway.config_problems import cross_check, problems_of, without_empty_mappings
from peerway.config_text import read_yaml
from peerway.model.policy import OnStop, Pinned, Policy, RouteSync
from peerway.settings import DEFAULT_FILE

_DEFAULTS: Final = Policy()
_DAEMON: Final = plain.DaemonSettings()


class Settings(BaseModel):
    """What all groups of settings share: no unknown keys, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DaemonSettings(Settings):
    """Settings of the daemon as a whole."""

    control_socket: values.SocketPath = Field(
        default=_DAEMON.control_socket,
        description="The unix socket that the command line asks the daemon through. Read at the start only.",
        examples=["/run/peerway/control.sock"],
    )
    read_group: Annotated[values.Group | None, values.Given] = Field(
        default=None,
        description="The group whose members may ask the daemon: `status`, `routes`, `why`, `monitor`, `verify`. "
        "Without it, it is the group that the daemon runs with. Read at the start only.",
        examples=["adm"],
    )
    admin_group: Annotated[values.Group | None, values.Given] = Field(
        default=None,
        description="The group whose members may also change things: `sync`, `reload`, `route`. Root may always. Read "
        "at the start only.",
        examples=["sudo"],
    )
    state_directory: values.AbsolutePath = Field(
        default=_DAEMON.state_directory,
        description="Where the daemon remembers which AllowedIPs are its own, so that it knows them after a "
        "restart. Read at the start only.",
        examples=["/run/peerway"],
    )
    poll_interval: values.Duration = Field(
        default=_DAEMON.poll_interval,
        description="How often to look at what no notification tells: handshakes, counters and endpoints, and all of a "
        "device where no other program's change can be seen. The daemon looks less often when looking is costly.",
        examples=["1s", "500ms"],
    )


class PeerSettings(Settings):
    """Settings of one peer, below its name. The peer itself is made by others (`wg set`, wg-quick)."""

    public_key: Annotated[values.Key | None, values.Given] = Field(
        default=None,
        description="The public key that the name stands for. Needed in one of the entries that name the peer.",
        examples=["HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="],
    )
    accept: Annotated[Annotated[tuple[values.AcceptEntry, ...], Field(strict=False)] | None, values.Given] = Field(
        default=None,
        description="The prefixes that routes may give to this peer, each `PREFIX [ge N] [le N]`: inside the prefix, "
        "with a length from `ge` to `le`. Without either it is the prefix itself. No list accepts everything, an empty "
        "list nothing. What is outside is refused and reported.",
        examples=[["10.0.0.0/8 le 24", "2001:db8::/32 le 48"]],
    )


class InterfaceSettings(Settings):
    """Settings of the interfaces that a name or glob matches."""

    route_sync: Annotated[RouteSync, Field(strict=False)] = Field(
        default=_DEFAULTS.route_sync,
        description="Which way to keep in step: kernel routes give AllowedIPs, pinned AllowedIPs give kernel routes, "
        "both, or neither.",
        examples=["both"],
    )
    prefixes: Annotated[tuple[values.DerivePrefix, ...], Field(strict=False)] = Field(
        default=_DEFAULTS.prefixes,
        description="Prefixes below which each peer has an address derived from its public key, for routing daemons to "
        "use as next hop. All nodes must agree on them.",
        examples=[["fe80::/64", "10.237.0.0/16"]],
    )
    tables: Annotated[tuple[values.Table, ...], Field(strict=False, min_length=1)] = Field(
        default=_DEFAULTS.tables,
        description="Routing tables that are read, in order of preference. Names come from rt_tables.",
        examples=[["main"]],
    )
    table: values.WrittenTable = Field(
        default=_DEFAULTS.table, description="The routing table that routes are written to.", examples=["main"]
    )
    metric: int = Field(
        default=_DEFAULTS.metric,
        ge=1,
        le=0xFFFFFFFF,
        description="The metric of routes that are written. The default is weaker than those of routing daemons, and "
        "than IPv6's default of 1024.",
        examples=[4096],
    )
    route_protocol: values.OwnProtocol = Field(
        default=_DEFAULTS.route_protocol,
        description="The routing protocol that marks routes as peerway's own. No other program may use it: a route "
        "with it that is not wanted is taken away. Names come from rt_protos.",
        examples=[87],
    )
    protocols: Annotated[tuple[values.Protocols, ...], Field(strict=False, min_length=1)] = Field(
        default=(values.ProtocolRule(None, counts=True),),
        description='Routing protocols whose routes count, in order: a name from rt_protos, a number, `"*"` for all; '
        '`"!static"` excludes. A list that begins with an exclusion begins with all.',
        examples=[["*", "!static"]],
    )
    pinned: Annotated[Pinned, Field(strict=False)] = Field(
        default=_DEFAULTS.pinned,
        description="What an AllowedIP that others put there does when a route claims its prefix for another peer: it "
        "wins, or it yields and comes back when the route goes.",
        examples=["wins"],
    )
    default_route: bool = Field(
        default=_DEFAULTS.default_route,
        description="Whether a pinned AllowedIP of length 0 gives a default route. Take care that the tunnel's own "
        "packets do not follow it into the tunnel.",
        examples=[False],
    )
    max_prefixes: int = Field(
        default=_DEFAULTS.max_prefixes,
        ge=0,
        le=0xFFFFFFFF,
        description="How many prefixes routes may give to one peer; 0 = no limit. What is over it is refused and "
        "reported, and what was there stays.",
        examples=[0],
    )
    on_stop: Annotated[OnStop, Field(strict=False)] = Field(
        default=_DEFAULTS.on_stop,
        description="What a clean stop leaves: everything as it is, or nothing of what peerway put there.",
        examples=["keep"],
    )
    aggregate: bool = Field(
        default=_DEFAULTS.aggregate,
        description="Whether WireGuard gets the fewest AllowedIPs with the same answers, instead of one for each "
        "route. A large table then needs a third to a quarter of them, but `wg show` no longer mirrors the routes.",
        examples=[False],
    )
    peers: dict[values.PeerName, PeerSettings] = Field(
        default_factory=dict, description="Peers by name. Entries for one name are merged key by key."
    )


class Config(Settings):
    """The whole configuration."""

    daemon: DaemonSettings = Field(default=DaemonSettings(), description="The daemon as a whole.")
    interfaces: dict[values.InterfacePattern, InterfaceSettings] = Field(
        default_factory=dict,
        description="Settings per name or glob of interfaces. Later entries override earlier ones, key by key.",
    )

    def settings(self, interface: str) -> InterfaceSettings:
        """
        The settings of one interface: all entries that match its name, in the order of the file.
        """
        merged: dict[str, Any] = {}
        peers: dict[str, PeerSettings] = {}
        for pattern, entry in self.interfaces.items():
            if fnmatchcase(interface, pattern):
                merged |= _given(entry)
                for name, peer in entry.peers.items():
                    peers[name] = peers.get(name, PeerSettings()).model_copy(update=_given(peer))
        return InterfaceSettings().model_copy(update=merged | ({"peers": peers} if peers else {}))

    def policy(self, interface: str) -> Policy:
        """
        The same, resolved for the engine.
        """
        return self.resolved().policy(interface)

    def resolved(self) -> plain.Settings:
        """
        The same for the daemon, which has no use for the libraries behind this.
        """
        entries = {pattern: _plain(entry) for pattern, entry in self.interfaces.items()}
        return plain.Settings(plain.DaemonSettings(**dict(self.daemon)), entries)


def _plain(entry: InterfaceSettings) -> plain.Entry:
    given = _given(entry)
    given.pop("peers", None)
    if "protocols" in given:
        given["protocols"] = values.counting(entry.protocols)
    return plain.Entry(given, {name: _given(peer) for name, peer in entry.peers.items()})


def _given(group: Settings) -> dict[str, Any]:
    return {key: getattr(group, key) for key in sorted(group.model_fields_set)}


def parse(text: str, file: str, names: Names | None = None) -> Config:
    """
    Read a configuration from YAML text; `file` is what errors call it. Raises ConfigError with all that is wrong.
    """
    document = read_yaml(text, file)
    data = without_empty_mappings(document.data)
    config = None
    try:
        config = Config.model_validate(data, context=names or Names())
    except ValidationError as error:
        problems_of(error, document, Config)
    cross_check(data, document)
    if config is None or document.problems:
        raise ConfigError(document.problems)
    return config


def load(file: Path | None = None, names: Names | None = None) -> Config:
    """
    Read a file, or the default one, which may be missing. Raises ConfigError with all that is wrong.
    """
    path = file or DEFAULT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if file is None:
            return Config()
        cure = "name a file that exists, or leave the option out for the defaults"
        raise ConfigError([Problem(str(path), 0, "", "", "no such file", cure)]) from None
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise ConfigError([Problem(str(path), 0, "", "", what, "make it a readable file, or be root")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), 0, "", "", "not UTF-8", "save it as plain text in UTF-8")]) from None
    return parse(text, str(path), names or Names.read())
