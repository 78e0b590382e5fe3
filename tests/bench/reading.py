"""The daemon's own reading of all routes, alone in a process: prints seconds and how many there were."""

from __future__ import annotations

import json
import time

from peerway.backends.rtnetlink import Rtnetlink

with Rtnetlink() as table:
    begin = time.perf_counter()
    routes = table.routes(lambda _: True)
    took = time.perf_counter() - begin
    print(json.dumps({"seconds": took, "routes": sum(len(getattr(part, "column", (part,))) for part in routes)}))
