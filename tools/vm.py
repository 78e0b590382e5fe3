#!/usr/bin/env python3
"""Run a command on another kernel: a Debian kernel in QEMU, with this machine's own file system below it.

  tools/vm.py fetch [old] [new]                   download the kernels (about 35 MB each, once)
  tools/vm.py ready                               check this machine, and download what is missing
  tools/vm.py run [options] old|new -- COMMAND    run COMMAND in the guest; its output and exit status become ours

old is Debian 12's kernel, new the newest of Debian 13's backports: the machine's own apt fetches them from the mirror
that it is set up with, into a private directory; nothing is installed. The guest sees the host's files through
virtiofs, read-only, with a tmpfs laid over them: same paths, same virtual environment. What it writes is lost, except
below directories named with --rw. No KVM is needed. Exit status 125: the guest gave none (panic, timeout); the end of
its kernel log is then on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import lzma
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peerway" / "kernels"
KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SUITES: Final = {"old": ("bookworm", "bookworm-security"), "new": ("trixie-backports",)}
META_PACKAGE: Final = "linux-image-cloud-amd64"
PACKAGES: Final = {  # what must be installed here, by a file that tells it
    "qemu-system-x86": "/usr/bin/qemu-system-x86_64",
    "busybox-static": "/bin/busybox",
    "kmod": "/sbin/modprobe",
    "debian-archive-keyring": str(KEYRING),
}
VIRTIOFSD: Final = {  # of Debian 12's qemu-system-common, and of Debian 13's virtiofsd
    "/usr/lib/qemu/virtiofsd": ("-f", "-o", "source=/,cache=always,sandbox=chroot,xattr,log_level=err"),
    "/usr/libexec/virtiofsd": ("--shared-dir=/", "--cache=always", "--sandbox=chroot", "--xattr", "--log-level=error"),
}
MODULES: Final = ("virtio_pci", "virtiofs", "virtio_console", "overlay")  # what the initramfs itself loads
NO_STATUS: Final = 125
BOOT_TIMEOUT: Final = 180.0  # seconds until the guest runs its first command; 3 to 7 on a quiet machine

# Runs from the initramfs: loads modules, lays a tmpfs over the host's root, and goes there.
INIT: Final = """#!/bin/busybox sh
b=/bin/busybox; $b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev
while read m; do $b insmod /m/$m || echo "init: insmod $m failed"; done </m/order
$b mount -t virtiofs host /host && $b mount -t tmpfs -o size=75% t /rw && $b mkdir /rw/u /rw/w &&
$b mount -t overlay -o lowerdir=/host,upperdir=/rw/u,workdir=/rw/w o /new || echo "init: no root"
for a in $($b cat /proc/cmdline); do case $a in peerway.run=*) s=${a#peerway.run=};; esac; done
while read d; do $b mkdir -p "/new$d"; $b mount --bind "/host$d" "/new$d"; done <"/host$s/rw"
for d in proc sys dev; do $b mount --move /$d /new/$d; done
exec $b switch_root /new /bin/sh "$s/guest"
"""

# Runs in the guest as process 1: the file systems that programs expect, the modules of its kernel, the command.
GUEST: Final = """
touch {out}/booted
mkdir -p /dev/pts /dev/shm /lib/modules
ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin; ln -s fd/1 /dev/stdout; ln -s fd/2 /dev/stderr
mount -t devpts p /dev/pts; mount -t tmpfs t /dev/shm; mount -t tmpfs t /run
mount --bind {modules} /lib/modules
ip link set lo up; hostname vm-{kernel}; cd {cwd}
for p in /sys/class/virtio-ports/*; do read n <$p/name && [ "$n" = out ] && o=/dev/${{p##*/}}; done
( exec env -i {env} {command} ) >$o 2>&1 </dev/null
echo $? >{out}/status.new; mv {out}/status.new {out}/status
/bin/busybox reboot -f
"""


class VmError(RuntimeError):
    """What cannot be done here, and the cure."""


@dataclass(frozen=True)
class Order:
    """One command to be run in a guest."""

    kernel: str
    command: Sequence[str]
    writable: Sequence[Path] = ()
    env: Sequence[str] = ()
    timeout: float = 1800.0
    cpus: int = 1
    memory: str = "2G"
    console: Path | None = None


def output_of(*argv: str | Path, cwd: Path | None = None) -> str:
    """The standard output of a command; raises VmError with what it complained about."""
    done = subprocess.run(argv, check=False, capture_output=True, text=True, cwd=cwd, timeout=600)
    if done.returncode != 0:
        raise VmError(f"`{shlex.join(map(str, argv))}` failed: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


def require_tools() -> None:
    """Raise VmError if this machine cannot run a guest."""
    if platform.machine() != "x86_64":
        raise VmError(f"the guests are x86_64 ones and this machine is {platform.machine()}: run this tier on x86_64")
    missing = [package for package, path in PACKAGES.items() if not Path(path).exists()]
    if not any(Path(path).exists() for path in VIRTIOFSD):
        missing.append("qemu-system-common (Debian 12) or virtiofsd (Debian 13)")
    if missing:
        raise VmError(f"missing here: {', '.join(missing)}; apt-get install --no-install-recommends them")
    if os.geteuid() != 0:
        raise VmError("the guest shares this machine's file system, which takes root: run it with sudo")


# ---- kernels ---------------------------------------------------------------------------------------------------------


def mirror(suite: str) -> str:
    """Where this machine's apt has Debian from; the security archive for a security suite. Raises VmError."""
    fields = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    rows = {tuple(line.split()) for line in output_of("apt-get", "indextargets", "--format", fields).splitlines()}
    wanted = r"[a-z]+-security" if suite.endswith("-security") else r"[a-z]+"
    for row in sorted(rows):
        if len(row) == 3 and row[2] == "main" and re.fullmatch(wanted, row[1]) and "debian" in row[0]:
            return row[0]
    raise VmError(f"no Debian mirror for {suite} among this machine's apt sources: add one to /etc/apt/sources.list.d")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is inside this `with` for `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch(kernel: str) -> str:
    """Download a kernel and its modules into the cache, in place of what is there; returns its version."""
    home = CACHE / kernel
    with tempfile.TemporaryDirectory(prefix="peerway-kernel.", dir=CACHE) as name:
        work = Path(name)
        apt = private_apt(work, kernel)
        try:
            output_of("apt-get", *apt, "-qq", "update")
            depends = output_of("apt-cache", *apt, "depends", "--recurse", "--important", META_PACKAGE)
        except VmError as error:
            raise VmError(f"{SUITES[kernel][0]} cannot be read from this machine's Debian mirror: {error}") from None
        versions = re.findall(r"^linux-image-(\d\S+)$", depends, re.MULTILINE)
        if not versions:
            raise VmError(f"{SUITES[kernel][0]} has no {META_PACKAGE}: is the machine's Debian mirror complete?")
        version: str = max(versions, key=lambda text: [int(number) for number in re.findall(r"\d+", text)])
        names = {f"linux-{part}-{version}" for part in ("image", "binary", "modules", "base")} & set(depends.split())
        output_of("apt-get", *apt, "-qq", "download", *sorted(names), cwd=work)
        for package in work.glob("*.deb"):
            output_of("dpkg-deb", "-x", package, work / "root")
        found = {path.name: path for path in (work / "root").rglob("*") if path.name.startswith(("vmlinuz", version))}
        ready = work / "ready"
        (ready / "lib/modules").mkdir(parents=True)
        shutil.move(next(path for name, path in found.items() if name.startswith("vmlinuz")), ready / "vmlinuz")
        shutil.move(next(path for path in found.values() if path.parent.name == "modules"), ready / "lib/modules")
        output_of("depmod", "-b", ready, version)
        (ready / "version").write_text(version)
        shutil.rmtree(home, ignore_errors=True)
        ready.rename(home)
    return version


def private_apt(work: Path, kernel: str) -> list[str]:
    """Options that make apt use only the kernel's suites, and keep its state below `work`."""
    for folder in ("lists/partial", "cache/archives/partial", "root"):
        (work / folder).mkdir(parents=True)
    sources = "".join(f"deb [signed-by={KEYRING}] {mirror(suite)} {suite} main\n" for suite in SUITES[kernel])
    (work / "sources").write_text(sources)
    options = [
        f"Dir::Etc::sourcelist={work}/sources",
        "Dir::Etc::sourceparts=-",
        f"Dir::State::Lists={work}/lists",
        f"Dir::Cache={work}/cache",
        "APT::Sandbox::User=root",
        "Acquire::Languages=none",
        "Acquire::Retries=3",
    ]
    if "backports" in SUITES[kernel][0]:  # they are only taken when asked for
        options.append(f"APT::Default-Release={SUITES[kernel][0]}")
    return [word for option in options for word in ("-o", option)]


def version_of(kernel: str) -> str:
    """The version of a kernel in the cache, fetched if it is missing."""
    path = CACHE / kernel / "version"
    with locked(CACHE / f"{kernel}.lock"):
        if not path.exists():
            print(f"vm: fetching the {kernel} kernel ({SUITES[kernel][0]})", file=sys.stderr, flush=True)
            fetch(kernel)
        return path.read_text()


# ---- initramfs -------------------------------------------------------------------------------------------------------


def initramfs(kernel: str, version: str) -> bytes:
    """An archive with busybox, INIT, and the modules that reach the host's file system."""
    base = CACHE / kernel
    entries = [(name, 0o40755, b"") for name in ("bin", "m", "proc", "sys", "dev", "host", "rw", "new")]
    entries += [("init", 0o100755, INIT.encode()), ("bin/busybox", 0o100755, Path("/bin/busybox").read_bytes())]
    order = []
    for module in MODULES:
        for line in output_of("modprobe", "-d", base, "-S", version, "--show-depends", module).splitlines():
            if line.startswith("insmod") and (path := Path(line.split()[1])).name not in order:
                data = path.read_bytes()
                entries.append((f"m/{path.name}", 0o100644, lzma.decompress(data) if path.suffix == ".xz" else data))
                order.append(path.name)
    return cpio([*entries, ("m/order", 0o100644, "".join(f"{name}\n" for name in order).encode())])


def cpio(entries: Sequence[tuple[str, int, bytes]]) -> bytes:
    """A "newc" archive of names, modes and contents, as the kernel's initramfs documentation describes it."""
    out = bytearray()
    for inode, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        path = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        out += b"070701" + b"".join(b"%08x" % value for value in fields) + path
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(data) % 4)
    return bytes(out)


# ---- guests ----------------------------------------------------------------------------------------------------------


def run(order: Order) -> int:
    """Run a command in a guest and return its exit status, NO_STATUS if it gave none. A failed boot is tried twice."""
    version = version_of(order.kernel)
    for last in (False, True):
        with tempfile.TemporaryDirectory(prefix="peerway-vm.") as name:
            home = Path(name)
            status = attempt(order, home, version)
            if status is not None:
                return status
            console = (order.console or home / "console").read_text(errors="replace")
            booted = (home / "out/booted").exists()
            what = "gave no exit status" if booted else "did not boot"
            text = f"vm: the {order.kernel} guest {what}; the end of its kernel log:\n{console[-3000:]}"
            print(text, file=sys.stderr, flush=True)
            if booted or last:
                return NO_STATUS
    raise AssertionError


def attempt(order: Order, home: Path, version: str) -> int | None:
    """Boot one guest, pass its output on, and return the status that it left, None if it left none."""
    lay_out(order, home, version)
    with contextlib.ExitStack() as stack:
        stack.enter_context(ended(file_server(home)))
        words = qemu_words(order, home)
        qemu = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        stack.enter_context(ended(qemu))
        over = threading.Event()
        stack.callback(over.set)
        threading.Thread(target=watch, args=(qemu, home, order.timeout, over), daemon=True).start()
        assert qemu.stdout is not None
        while data := os.read(qemu.stdout.fileno(), 65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        qemu.wait()
    status = home / "out/status"
    return int(status.read_text()) if status.exists() else None


def lay_out(order: Order, home: Path, version: str) -> None:
    """Write what the guest reads: its initramfs, its first script, and the list of writable directories."""
    out = home / "out"
    out.mkdir()
    (home / "initrd").write_bytes(initramfs(order.kernel, version))
    (home / "rw").write_text("".join(f"{path.resolve()}\n" for path in (out, *order.writable)))
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TERM") if name in os.environ}
    given = dict(word.partition("=")[::2] for word in order.env)
    script = GUEST.format(
        out=shlex.quote(str(out)),
        modules=shlex.quote(str(CACHE / order.kernel / "lib/modules")),
        kernel=order.kernel,
        cwd=shlex.quote(str(Path.cwd())),
        env=" ".join(shlex.quote(f"{key}={value}") for key, value in {**env, **given}.items()),
        command=shlex.join(order.command),
    )
    (home / "guest").write_text(script)


def file_server(home: Path) -> subprocess.Popen[bytes]:
    """Start virtiofsd and wait for its socket."""
    program = next(path for path in VIRTIOFSD if Path(path).exists())
    log = (home / "virtiofsd").open("wb")
    server = subprocess.Popen(
        [program, f"--socket-path={home}/fs", *VIRTIOFSD[program]], stdout=log, stderr=log, start_new_session=True
    )
    while not (home / "fs").exists():
        if server.poll() is not None:
            raise VmError(f"{program} did not start: {(home / 'virtiofsd').read_text().strip()}")
        time.sleep(0.02)
    return server


def qemu_words(order: Order, home: Path) -> list[str]:
    """The command line of QEMU: no KVM, no network, no disks; files by virtiofs, output by a virtio port."""
    # One processor is the fastest without KVM, and two have been seen to panic while a kernel patches its own text.
    # QEMU 7.2 emulates some instruction of AVX2 wrongly: numpy's argsort, which takes them where it can, does not sort.
    cmdline = (
        "console=ttyS0 loglevel=5 panic=-1 mitigations=off nokaslr no_timer_check random.trust_cpu=on audit=0 "
        f"rcupdate.rcu_expedited=1 peerway.run={home}"
    )
    text = f"""
        qemu-system-x86_64 -accel tcg,tb-size=512 -cpu max,-avx2 -smp {order.cpus} -m {order.memory} -nodefaults
        -no-user-config -display none -no-reboot -object memory-backend-memfd,id=mem,size={order.memory},share=on
        -machine q35,memory-backend=mem -kernel {CACHE / order.kernel / "vmlinuz"} -initrd {home}/initrd
        -serial file:{order.console or home / "console"}
        -chardev socket,id=fs,path={home}/fs -device vhost-user-fs-pci,chardev=fs,tag=host
        -device virtio-serial-pci -chardev stdio,id=out,signal=off -device virtserialport,chardev=out,name=out
    """
    return [*text.split(), "-append", cmdline]


def watch(qemu: subprocess.Popen[bytes], home: Path, timeout: float, over: threading.Event) -> None:
    """End a guest that does not boot, or that takes longer than it may."""
    start = time.monotonic()
    while not over.wait(0.5):
        spent = time.monotonic() - start
        if spent > timeout or (spent > BOOT_TIMEOUT and not (home / "out/booted").exists()):
            print(f"vm: the guest is ended after {spent:.0f} s", file=sys.stderr, flush=True)
            qemu.kill()
            return


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive this `with`."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def main(argv: Sequence[str]) -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetching = verbs.add_parser("fetch", help="download kernels anew")
    fetching.add_argument("kernels", nargs="*", choices=[*SUITES, []], metavar="old|new")
    verbs.add_parser("ready", help="check this machine and fetch what is missing")
    running = verbs.add_parser("run", help="run a command in a guest")
    running.add_argument("--rw", action="append", default=[], type=Path, help="directory whose changes reach the host")
    running.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="set it in the guest")
    running.add_argument("--timeout", type=float, default=1800, metavar="SECONDS")
    running.add_argument("--cpus", type=int, default=1)
    running.add_argument("--memory", default="2G")
    running.add_argument("--console", type=Path, help="keep the kernel log in this file")
    running.add_argument("kernel", choices=SUITES)
    running.add_argument("command", nargs="+")
    words = parser.parse_args(argv)
    require_tools()
    if words.verb == "fetch":
        for kernel in words.kernels or SUITES:
            with locked(CACHE / f"{kernel}.lock"):
                print(f"vm: {kernel}: {fetch(kernel)}")
        return 0
    if words.verb == "ready":
        for kernel in SUITES:
            print(f"vm: {kernel}: {version_of(kernel)}")
        return 0
    how = (words.timeout, words.cpus, words.memory, words.console)
    return run(Order(words.kernel, words.command, words.rw, words.env, *how))


def leave(number: int, _frame: object) -> NoReturn:
    """Signals end us through our `finally`s."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    try:
        sys.exit(main(sys.argv[1:]))
    except VmError as error:
        sys.exit(f"vm: {error}")
