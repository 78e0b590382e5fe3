#!/usr/bin/env python3
"""Run test tiers, say what each one ran, and sum up: tools/tiers.py check lab interop kernel chaos bench.

The output of each step is shown and kept in build/logs. A tier that this machine cannot run says why and how to make
it run; under CI=true that is a failure. The last line counts the tests of all steps in pytest's own form.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parent.parent
LOGS: Final = ROOT / "build" / "logs"
PYTEST: Final = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
IN_CI: Final = os.environ.get("CI") == "true"
OUTCOMES: Final = ("failed", "passed", "skipped", "deselected", "xfailed", "xpassed", "error", "errors", "warnings")
COUNTED: Final = ("failed", "errors", "passed", "skipped", "xfailed", "xpassed")
GUEST_TESTS: Final = (
    "tests/kernel",
    "tests/lab",
    "tests/interop/test_bird.py",
    "tests/interop/test_wg_quick.py",
    "tests/bench/test_kernel.py",
)
ALL_OF_CHAOS: Final = os.environ.get("PEERWAY_CHAOS") == "full"


@dataclass(frozen=True)
class Step:
    """One command of a tier; `limit` in seconds."""

    name: str
    command: Sequence[str]
    limit: float = 900.0


@dataclass(frozen=True)
class Tier:
    """Steps that run one after the other, or all at once; `needs` are programs, as NAME:PACKAGE."""

    title: str
    steps: Sequence[Step]
    root: bool = False
    needs: Sequence[str] = ()
    at_once: bool = False
    before: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Result:
    """What became of a step."""

    name: str
    status: int
    seconds: float
    closing: str
    counts: Counter[str]


def in_guest(kernel: str) -> Step:
    """The step that runs the guest's tests on one kernel."""
    console = LOGS / f"kernel-{kernel}.console"
    vm = (sys.executable, "tools/vm.py", "run", "--timeout", "2400", "--console", str(console))
    env = ("--env", "HYPOTHESIS_PROFILE=guest", "--env", f"CI={'true' if IN_CI else ''}", "--env", "IN_GUEST=true")
    return Step(
        f"kernel-{kernel}",
        (*vm, *env, kernel, "--", *PYTEST, "--durations=10", "-m", "not host_only", *GUEST_TESTS),
        2700,
    )


RUFF: Final = (sys.executable, "-m", "ruff")
UNIT: Final = Step("unit", (*PYTEST, "-n", "auto", "tests/unit"), 1800)
LAB_NEEDS: Final = ("ip:iproute2", "wg:wireguard-tools", "ping:iputils-ping", "wireguard-go:wireguard-go", "curl:curl")
TIERS: Final = {
    "unit": Tier("unit and property tests", [UNIT]),
    "check": Tier(
        "format, lint, types, unit and property tests",
        [
            Step("format", (*RUFF, "format", "--check")),
            Step("lint", (*RUFF, "check")),
            Step("types", (sys.executable, "-m", "mypy")),
            UNIT,
        ],
    ),
    "hostile": Tier(
        "what is installed against the lock; hostile bytes for each parser, the same each time",
        [Step("supply", (sys.executable, "-m", "tools.supply", "check")), Step("hostile", (*PYTEST, "tests/fuzz"))],
    ),
    "lab": Tier(
        "the real daemon, real routes and wireguard-go in namespaces",
        [Step("lab", (*PYTEST, "tests/lab"))],
        root=True,
        needs=LAB_NEEDS,
    ),
    "interop": Tier(
        "BIRD, FRR, babeld and wg-quick, unmodified",
        [Step("interop", (*PYTEST, "tests/interop"))],
        root=True,
        needs=(*LAB_NEEDS, "bird:bird2", "babeld:babeld", "zebra:frr"),
    ),
    "kernel": Tier(
        "the lab, BIRD and wg-quick again on the kernel's own WireGuard, old and new, in QEMU",
        [in_guest("old"), in_guest("new")],
        root=True,
        needs=(
            *LAB_NEEDS,
            "bird:bird2",
            "qemu-system-x86_64:qemu-system-x86",
            "modprobe:kmod",
            "busybox:busybox-static",
        ),
        at_once=True,
        before=(  # the guest is slow: it finds everything compiled, and broken imports show here first
            (sys.executable, "-m", "compileall", "-q", "-j0", "src", "tests", "tools", sys.prefix),
            (*PYTEST, "--collect-only", "-m", "not host_only", *GUEST_TESTS),
            (sys.executable, "tools/vm.py", "ready"),
        ),
    ),
    "chaos": Tier(
        "random histories, deaths and faults of the real daemon",
        [Step("chaos", (*PYTEST, "-rP", "tests/chaos"), 8 * 3600.0 if ALL_OF_CHAOS else 900.0)],
        root=True,
        needs=LAB_NEEDS,
    ),
    "bench": Tier(
        "short benchmarks, for their correctness",
        [Step("bench", (*PYTEST, "tests/bench"))],
        root=True,
        needs=(*LAB_NEEDS, "bird:bird2", "cc:gcc libc6-dev"),
    ),
}


def obstacle(tier: Tier) -> str:
    """Why this machine cannot run a tier, and the cure; empty if it can."""
    if tier.root and os.geteuid() != 0:
        return "it needs root: run it with sudo"
    if tier.root and subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode != 0:
        return "network namespaces are forbidden here: in a container, start it with --privileged"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/lib/frr"
    missing = [
        package for name, _, package in (need.partition(":") for need in tier.needs) if not which(name, path=path)
    ]
    return f"missing here: apt-get install {' '.join(missing)}" if missing else ""


def run_tier(name: str) -> list[Result]:
    """Run a tier and return the results of its steps; one result of status 0 or 1 if it cannot run here."""
    tier = TIERS[name]
    say(f"\n=== {name}: {tier.title}")
    if reason := obstacle(tier):
        say(f"{name}: not run: {reason}")
        return [Result(name, int(IN_CI), 0.0, f"not run: {reason}", Counter())]
    for command in tier.before:
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        told = (done.stderr or done.stdout).strip()
        if done.returncode != 0 and command[-1] == "ready":
            say(f"{name}: not run: {told}")
            return [Result(name, int(IN_CI), 0.0, f"not run: {told.splitlines()[-1]}", Counter())]
        if done.returncode != 0 and "compileall" not in command:  # packages may hold templates that do not compile
            say(done.stdout + done.stderr)
            return [Result(name, 1, 0.0, "failed before its tests", Counter())]
    if not tier.at_once:
        results = []
        for step in tier.steps:
            say(f"--- {step.name}")
            results.append(run_step(step, shown=True))
        return results
    return run_at_once(tier.steps)


def run_at_once(steps: Sequence[Step]) -> list[Result]:
    """Run steps in parallel; their output goes to the logs only, and the end of it is shown when they are done."""
    results: dict[str, Result] = {}

    def work(step: Step) -> None:
        results[step.name] = run_step(step, shown=False)

    threads = [threading.Thread(target=work, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    start = told = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        if time.monotonic() - told > 60:
            told = time.monotonic()
            progress = ", ".join(f"{step.name} {done_so_far(LOGS / f'{step.name}.log')}" for step in steps)
            say(f"... {told - start:.0f} s: {progress}")
    for step in steps:
        text = (LOGS / f"{step.name}.log").read_text(errors="replace").splitlines()
        say(f"--- {step.name} (build/logs/{step.name}.log)")
        say("\n".join(text[-200:] if results[step.name].status else text[-12:]))
    return [results[step.name] for step in steps]


def done_so_far(log: Path) -> str:
    """How many tests the pytest that writes this log has done."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    marks = [re.sub(r"\s*\[ *\d+%\]$", "", line) for line in lines]
    done = sum(len(line) for line in marks if re.fullmatch(r"[.sFExX]+", line))
    return f"{done} tests" if done else "starts"


def run_step(step: Step, *, shown: bool) -> Result:
    """Run one command, with its output into its log and, if `shown`, to the reader."""
    LOGS.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    path = LOGS / f"{step.name}.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            step.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        running.append(process)
        timer = threading.Timer(step.limit, stop, args=(process, f"{step.name}: ended after {step.limit:.0f} s"))
        timer.daemon = True
        timer.start()
        assert process.stdout is not None
        copy(process.stdout, log, shown=shown)
        status = process.wait()
        timer.cancel()
        running.remove(process)
    closing, counts = closing_line(path.read_text(errors="replace"))
    if not closing:
        closing = "ok" if status == 0 else f"failed with status {status}"
    if status == 5:
        closing = "failed: no tests were collected"
    return Result(step.name, status, time.monotonic() - start, closing, counts)


def copy(source: IO[bytes], log: IO[bytes], *, shown: bool) -> None:
    """Pass a stream on as it comes."""
    while data := os.read(source.fileno(), 65536):
        log.write(data)
        log.flush()
        if shown:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def closing_line(output: str) -> tuple[str, Counter[str]]:
    """Pytest's last line, without its rule, and the numbers in it."""
    for line in reversed(output.splitlines()):
        bare = re.sub(r"\x1b\[[0-9;]*m", "", line).strip("= ")
        pairs = re.findall(rf"(\d+) ({'|'.join(OUTCOMES)})\b", bare)
        if pairs and re.search(r" in [\d.]+s", bare):
            plural = {"error": "errors"}
            return bare, Counter({plural.get(word, word): int(number) for number, word in pairs})
    return "", Counter()


running: list[subprocess.Popen[bytes]] = []


def stop(process: subprocess.Popen[bytes], why: str) -> None:
    """End a step and what it started: first gently, so that it takes its namespaces away."""
    say(why)
    for number, grace in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
            return


def say(text: str) -> None:
    """Print, in order with what the steps print."""
    print(text, flush=True)


def main(names: Sequence[str]) -> int:
    """Run the tiers, and end with one line for each step and a last one for all."""
    if not names or set(names) - set(TIERS):
        print(f"usage: tools/tiers.py {'|'.join(TIERS)} ...", file=sys.stderr)
        return 2
    start = time.monotonic()
    results = [result for name in names for result in run_tier(name)]
    total: Counter[str] = Counter()
    say("\n=== summary (logs in build/logs)")
    for result in results:
        total += result.counts
        say(f"{result.name:12} {'ok    ' if result.status == 0 else 'FAILED'} {result.closing}")
    broken = [
        result for result in results if result.status != 0 and not result.counts["failed"] + result.counts["errors"]
    ]
    total["errors"] += len(broken)  # a step that failed without a failed test: lint, a crash, a tier that could not run
    words = ", ".join(f"{total[word]} {word}" for word in COUNTED if total[word]) or "no tests ran"
    say(f" {words} in {time.monotonic() - start:.2f}s ".center(100, "="))
    return int(any(result.status for result in results))


def leave(number: int, _frame: object) -> None:
    """A signal ends the steps too."""
    for process in tuple(running):  # each leaves it when it has ended
        stop(process, "interrupted")
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    sys.exit(main(sys.argv[1:]))
