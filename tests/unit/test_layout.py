"""The layout of DESIGN and ARCHITECTURE, read from the source itself: who imports what, and what stays out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "peerway"
MODULES = sorted(SOURCE.rglob("*.py"))
FOLDERS = ("src", "tests", "tools", "docs", "etc", ".ci")
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
PURE = ("model", "features", "protocols")
IMPURE = {"socket", "asyncio", "time", "os", "subprocess", "threading", "random", "select", "pathlib", "nacl.utils"}
MAY_IMPORT = {  # the one way that imports run; what is not here (cli, daemon, engine, ...) may import all below it
    "model": {"model"},
    "protocols": {"model", "protocols"},
    "features": {"model", "protocols", "features"},
    "backends": {"model", "protocols", "backends"},
}
EDGES = ("backends", "lab", "control", "cli", "config_reader.py", "daemon.py", "service.py")


def imports(path: Path) -> Iterator[str]:
    """The full names of what a module imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def place(path: Path) -> str:
    """The folder of a module below the package, or its own name at the top."""
    return path.relative_to(SOURCE).parts[0]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in MODULES if place(path) in PURE], ids=named)
def test_pure_folders_do_no_input_or_output(path: Path) -> None:
    """Modules of model, features and protocols import no socket, no clock, no process and no event loop."""
    assert not IMPURE & set(imports(path))


@pytest.mark.parametrize("path", [path for path in MODULES if place(path) in MAY_IMPORT], ids=named)
def test_imports_run_one_way(path: Path) -> None:
    """Nothing imports from a layer above its own."""
    own = {name.split(".")[1] for name in imports(path) if name.startswith("peerway.")}
    assert own <= MAY_IMPORT[place(path)]


@pytest.mark.parametrize("path", [path for path in MODULES if place(path) not in EDGES], ids=named)
def test_only_edges_open_sockets_and_start_processes(path: Path) -> None:
    """Outside backends, control, lab, the command line and the daemon nothing imports socket or subprocess."""
    assert not {"socket", "subprocess"} & set(imports(path))


def test_every_module_has_its_test() -> None:
    """Each module with behaviour has a test file of its name in the mirrored folder, or a test that imports it."""
    mirrored = {path.relative_to(ROOT / "tests") for path in TESTS}
    imported = {name for path in TESTS for name in imports(path)}
    missing = []
    for path in MODULES:
        where = path.relative_to(SOURCE)
        mirror = Path("unit", where).with_name(f"test_{path.name}")
        if (
            behaves(path)
            and mirror not in mirrored
            and "peerway." + ".".join(where.with_suffix("").parts) not in imported
        ):
            missing.append(str(where))
    assert not missing, ", ".join(missing)


def behaves(path: Path) -> bool:
    """Whether a module does something: it has a function, or a class with one, that is no mere shape of a protocol."""
    tree = ast.parse(path.read_text())
    shapes = {
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and "Protocol" in map(ast.unparse, node.bases)
    }
    inside = {id(part) for shape in shapes for part in ast.walk(shape)}
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and id(node) not in inside for node in ast.walk(tree)
    )


@pytest.mark.parametrize("path", TESTS, ids=named)
def test_every_test_is_a_sentence(path: Path) -> None:
    """Each test function states the truth that it checks, in a docstring."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            assert ast.get_docstring(node), f"{node.name} has no sentence"


def test_no_decision_looks_at_the_wall_clock() -> None:
    """The wall clock, which jumps, is only told: in events, and in `status`; all waiting is by the monotonic one."""
    wall = re.compile(r"\btime\.time\(|datetime\.(now|today|utcnow)\(")
    found = {str(path.relative_to(SOURCE)) for path in MODULES if wall.search(path.read_text())}
    assert found <= {"service.py", "cli/output.py"}, found


def test_no_file_names_a_workplace_or_a_registry() -> None:
    """No file of the project holds a path of the machine it was written on, or the host of a package registry."""
    hosts = ("pypi" + r"\.org", "pythonhosted" + r"\.org", "deb\\.debian" + r"\.org", "snapshot\\.debian" + r"\.org")
    forbidden = re.compile(r"(?<![\w.])/wor" + r"k/|(?<![\w.])/roo" + "t/|" + "|".join(hosts))
    folders = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if "__pycache__" not in path.parts]
    texts = {
        path: path.read_text(errors="replace")
        for path in [*ROOT.iterdir(), *folders]
        if path.is_file() and path.name != ".git"
    }
    found = [f"{path.relative_to(ROOT)}: {hit[0]}" for path, text in texts.items() if (hit := forbidden.search(text))]
    assert not found, ", ".join(found)
