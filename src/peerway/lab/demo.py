"""`peerway demo`: the main job in a minute, in private namespaces, with BIRD announcing routes over WireGuard.

Nothing of the host is touched: no interface, route or file outside the namespaces and one directory of the demo's own.
With `keep` the sites stay, under plain names, until `down`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from peerway.lab import netns
from peerway.lab.namespace import CommandError, sweep
from peerway.lab.signals import raising_at_the_end
from peerway.lab.sites import NAMES, PEERWAY, Site, built, namespace_of
from peerway.lab.story import tell
from peerway.lab.tour import DemoFailedError, Tour

KEPT: Final = Path("/run/peerway-demo")
PARTS: Final = ("internet", *NAMES)
EXIT_FAILED, EXIT_PRIVILEGE, EXIT_INTERRUPTED = 1, 4, 130


def main(*, keep: bool = False, down: bool = False) -> int:
    """
    Run the tour; `keep` leaves the sites up, `down` takes kept ones away. Returns the exit code: 0 if every claim came
    true, 1 if not, 4 without root.
    """
    tour = Tour(sys.stdout, sys.stderr)
    if os.geteuid() != 0:
        tour.complain("permission denied: peerway demo makes network namespaces, which takes root: run it with sudo")
        return EXIT_PRIVILEGE
    if down:
        take_down()
        tour.say("The demo is gone.")
        return 0
    try:
        with raising_at_the_end():
            give(tour, keep=keep)
    except (DemoFailedError, CommandError, OSError) as error:
        tour.complain(f"\npeerway demo failed: {error}")
        return EXIT_FAILED
    except KeyboardInterrupt:
        tour.complain("\ninterrupted; everything is removed")
        return EXIT_INTERRUPTED
    return 0


def give(tour: Tour, *, keep: bool) -> None:
    """Build the sites, show them, and remove them unless they are to be kept. Raises what goes wrong."""
    start = time.monotonic()
    sweep()
    if any(netns.path_of(f"peerway-{part}").exists() for part in PARTS):
        raise DemoFailedError("a kept demo is still there: `peerway demo --down` takes it away")
    with files(keep=keep) as home, built(home, kept=keep) as sites:
        try:
            tell(tour, sites)
        except (DemoFailedError, CommandError):
            tell_logs(tour, sites)
            raise
        if keep:
            farewell(tour, sites)
            return
    tour.heading("Everything is removed")
    tour.check(
        "no namespace, no process and no file is left",
        lambda: not home.exists() and not any(site.namespace.path.exists() for site in sites),
    )
    tour.say(f"That was the demo; it took {time.monotonic() - start:.0f} s. With --keep it stays, to look around.")


def farewell(tour: Tour, sites: Sequence[Site]) -> None:
    """Tell how to look around, and how to end it."""
    berlin = sites[0]
    inside = f"ip netns exec {berlin.namespace.name}"
    tour.heading("The sites stay up")
    tour.say("Look around:")
    tour.picture(f"""
        {inside} ip route
        {inside} wg
        {inside} birdc -s {berlin.bird.socket}
        {" ".join(berlin.command("status"))}
    """)
    tour.say("Take everything away:")
    tour.picture(f"{' '.join(PEERWAY)} demo --down")


def tell_logs(tour: Tour, sites: Sequence[Site]) -> None:
    """Print the end of every log, for the reader of a failure."""
    for site in sites:
        for path in (site.log, site.bird.log):
            with contextlib.suppress(OSError):
                tour.complain(f"--- {path.name}\n{path.read_text()[-2000:]}")


@contextlib.contextmanager
def files(*, keep: bool) -> Iterator[Path]:
    """A directory for the demo's files: a fixed one if it is kept, and then it stays unless the body raises."""
    if not keep:
        with tempfile.TemporaryDirectory(prefix="peerway-demo-") as name:
            yield Path(name)
        return
    KEPT.mkdir(mode=0o700, exist_ok=True)
    try:
        yield KEPT
    except BaseException:
        shutil.rmtree(KEPT, ignore_errors=True)
        raise


def take_down() -> None:
    """Remove a kept demo; without one there is nothing to do."""
    for part in reversed(PARTS):
        namespace_of(part, kept=True).delete()
    shutil.rmtree(KEPT, ignore_errors=True)
