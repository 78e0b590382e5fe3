"""The daemon, unmodified but for a stamp after each request that changed AllowedIPs or routes.

python -m tests.bench.launch [--no-ledger] CONFIG STAMPS
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from peerway import daemon
from peerway.backends.device import BaseDevice
from peerway.backends.ledgerstore import LedgerFiles
from peerway.backends.rtnetlink import Rtnetlink
from tests.bench.stamps import Stamps


def prefixes(changes: Iterable[Any]) -> int:
    """
    How many prefixes a list of changes names: pairs of a prefix and its peer (or path), or groups of a peer (or path)
    and its prefixes.
    """
    return sum(1 if isinstance(first, int) else len(second) for first, second in changes)


def stamp_applications(stamps: Stamps) -> None:
    """
    From now on each return of what applies is stamped.
    """
    apply, add_routes = BaseDevice.apply, Rtnetlink.add_routes

    @functools.wraps(apply)
    async def stamped_apply(device: BaseDevice, delta: Any) -> Any:
        done = await apply(device, delta)
        stamps.write(prefixes(delta.add) + prefixes(delta.remove))
        return done

    @functools.wraps(add_routes)
    def stamped_add_routes(table: Rtnetlink, routes: Any, *args: Any, **kwargs: Any) -> Any:
        done = add_routes(table, routes, *args, **kwargs)
        stamps.write(prefixes(routes))
        return done

    BaseDevice.apply = stamped_apply  # type: ignore[method-assign,assignment]
    Rtnetlink.add_routes = stamped_add_routes  # type: ignore[method-assign,assignment]


def stamp_begin(stamps: Stamps) -> None:
    """
    The begin is stamped when all is imported and the configuration is read, which is mostly imports of its reader.
    """
    run = daemon.Daemon.run

    @functools.wraps(run)
    async def stamped_run(self: daemon.Daemon) -> int:
        stamps.write(0)
        return await run(self)

    daemon.Daemon.run = stamped_run  # type: ignore[method-assign]


def forget_ledger() -> None:
    """
    Nothing is written down: what the ledger costs is the difference.
    """
    LedgerFiles.append = LedgerFiles.replace = lambda *_: None  # type: ignore[method-assign]


def main(words: list[str]) -> int:
    """
    Run the daemon.
    """
    *options, config, stamps = words
    if "--no-ledger" in options:
        forget_ledger()
    opened = Stamps(Path(stamps))
    stamp_applications(opened)
    stamp_begin(opened)
    return daemon.main(Path(config))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
