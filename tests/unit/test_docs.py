"""What the docs show is true: configurations parse, commands exist, generated files are fresh, links lead somewhere."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

import click
import pytest

from peerway.cli.main import cli
from peerway.config import load, parse
from peerway.control.words import event_name
from peerway.model import events
from peerway.model.derive import derived_address
from peerway.model.keys import PublicKey
from peerway.model.policy import Policy
from peerway.model.prefix import address_text
from tests.harness.need import need_program, need_root
from tests.harness.transcript import BLOCK, EXAMPLE, ROOT, blocks, matches, steps
from tools.manpages import pages

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/features/*.md")]
LANGUAGES = {"bird", "console", "frr", "ini", "sh", "text", "yaml"}  # text is output alone; each other one has its test
PROGRAMS = {
    "tools/vm.py",
    "cp",
    "curl",
    "ip",
    "ln",
    "make",
    "peerway",
    "python3",
    "sort",
    "systemctl",
    "systemd-sysusers",
    "wg",
    "/opt/peerway/bin/pip",
}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def command_lines(page: Path) -> list[list[str]]:
    """The commands of a page, also those behind a pipe, as words."""
    text = page.read_text()
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    lines += [command for block in blocks(text, "console") for command, _ in steps(block)]
    return [shlex.split(part, comments=True) for line in lines for part in line.split(" | ") if part.strip()]


@every_page
def test_each_block_is_in_a_language_that_is_checked(page: Path) -> None:
    """A fenced block names its language, and there is a check for it."""
    assert {language for language, _ in BLOCK.findall(page.read_text())} <= LANGUAGES
    assert page.read_text().count("\n```") == 2 * len(BLOCK.findall(page.read_text()))


@every_page
def test_configurations_parse(page: Path) -> None:
    """Each YAML block is a configuration without errors."""
    for number, block in enumerate(blocks(page.read_text(), "yaml")):
        parse(block, f"{page.name}, block {number}")


@every_page
def test_commands_exist(page: Path) -> None:
    """Click takes each peerway command, each make target exists, and no other program creeps in unchecked."""
    for words in command_lines(page):
        assert words[0] in PROGRAMS, words
        if words[0] == "peerway":
            resolve(words[1:])
        if words[0] == "make":
            assert re.search(rf"^[\w ]*\b{words[1]}\b[\w ]*:", (ROOT / "Makefile").read_text(), re.MULTILINE), words


@every_page
def test_tests_that_a_page_names_exist(page: Path) -> None:
    """Where a page says which test shows something, there is that test."""
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text()):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{name}"


def test_every_fault_has_its_test() -> None:
    """Each row of the fault model names a test that shows what is promised."""
    rows = [line for line in (ROOT / "docs" / "RELIABILITY.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    for row in rows[1:]:
        assert re.search(r"\| `tests/[\w/]+\.py::test_\w+` \|$", row), row


def resolve(words: list[str]) -> None:
    """Let click read a command line, without running anything. Raises UsageError."""
    command: click.Command | None = cli
    ctx: click.Context | None = None
    while command is not None:
        ctx = command.make_context(command.name, words, parent=ctx)
        if not isinstance(command, click.Group):
            return
        name, command, words = command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert name


def test_a_command_that_does_not_exist_would_be_seen() -> None:
    """Unknown verbs, options and missing arguments are usage errors here too."""
    for words in (["rout"], ["status", "--jsn"], ["why"], ["config", "chek"]):
        with pytest.raises(click.UsageError):
            resolve(words)


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file of the repository."""
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@every_page
def test_tests_that_are_named_exist(page: Path) -> None:
    """Where a page points to the test that shows a claim, the test is there."""
    for path, name in re.findall(r"\b(tests/[\w/]+\.py)::(test_\w+)", page.read_text()):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"


@every_page
def test_bird_reads_its_configurations(page: Path, tmp_path: Path) -> None:
    """`bird -p` takes each BIRD block."""
    for block in blocks(page.read_text(), "bird"):
        path = tmp_path / "bird.conf"
        path.write_text(block)
        done = subprocess.run([need_program("bird", "bird2"), "-p", "-c", path], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()


@every_page
def test_frr_reads_its_configurations(page: Path) -> None:
    """`bgpd --dryrun` takes each FRR block without complaint."""
    for block in blocks(page.read_text(), "frr"):
        need_root()  # bgpd changes to a user of its own, who must be able to read the file
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write(block)
            file.flush()
            Path(file.name).chmod(0o644)
            command = [need_program("bgpd", "frr"), "--dryrun", "-f", file.name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_wireguard_reads_its_configuration(tmp_path: Path) -> None:
    """wg-quick takes the README's interface file, whose peers are those of the examples."""
    (block,) = blocks((ROOT / "README.md").read_text(), "ini")
    path = tmp_path / "wg0.conf"
    path.write_text(block)
    path.chmod(0o600)
    command = [need_program("wg-quick", "wireguard-tools"), "strip", str(path)]
    stripped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"PublicKey = (\S+)", stripped) == [str(key) for key in load(EXAMPLE).policy("wg0").peers]
    configparser.ConfigParser(strict=False).read_string(block)


def test_addresses_in_the_readme_are_those_of_its_keys() -> None:
    """The peers have the derived addresses that BIRD and FRR are told."""
    text = (ROOT / "README.md").read_text()
    for key in load(EXAMPLE).policy("wg0").peers:
        assert f"neighbor {address(key)}" in text


def address(key: PublicKey) -> str:
    return address_text(derived_address(Policy().prefixes[0], key))


def test_manual_pages_are_fresh() -> None:
    """docs/man is what the commands say; `make docs` mends it."""
    kept = {path.name: path.read_text() for path in (ROOT / "docs" / "man").iterdir()}
    assert kept == pages()


def test_every_event_is_documented() -> None:
    """docs/features/watcher.md has a row for each kind of event, with its fields."""
    text = (ROOT / "docs" / "features" / "watcher.md").read_text()
    kinds = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind not in (events.Event, events.PeerEvent)
    ]
    for kind in kinds:
        row = re.search(rf"^\| `{event_name(kind.__new__(kind))}` \| (.*?)\|", text, re.MULTILINE)
        assert row, kind
        fields = [name for name in kind.__dataclass_fields__ if name != "interface"]
        assert re.findall(r"`(\w+)`", row[1]) == fields


def test_outputs_are_compared_but_for_what_varies() -> None:
    """A time may differ and `...` stands for lines; any other character counts."""
    assert matches("at 2026-01-01T00:00:00Z\n", "at 2030-02-02T10:00:00.123Z\n")
    assert matches("a\n...\nd\n", "a\nb\nc\nd\n")
    assert not matches("a\n...\nd\n", "a\nb\nc\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("10.2.0.0/24 at berlin\n", "10.2.0.0/24 at paris\n")
