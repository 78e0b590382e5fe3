"""`python -m peerway`: the command, where its script is not installed."""

from __future__ import annotations

from peerway.cli.main import main

main()
