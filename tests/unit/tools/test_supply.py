"""The bill of materials and the check of what is installed, against this installation and against broken ones."""

from __future__ import annotations

import json
import re
from importlib.metadata import PathDistribution, distribution
from pathlib import Path
from typing import Any

import pytest

from tools import supply
from tools.supply import Locked, faults, locked, sbom

PACKAGES = locked(supply.LOCK.read_text())
HASH = "0" * 64


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(sbom(PACKAGES)))
    return made


def test_every_package_of_the_lock_is_in_the_bill(bill: dict[str, Any]) -> None:
    """Version and hashes are those of the lock, and nothing else is in it."""
    told = {
        one["name"]: (one["version"], tuple(each["content"] for each in one["hashes"])) for one in bill["components"]
    }
    assert told == {one.name: (one.version, one.hashes) for one in PACKAGES}
    assert len(PACKAGES) > 30


def test_the_bill_has_the_shape_of_cyclonedx(bill: dict[str, Any]) -> None:
    """What the schema of CycloneDX 1.6 demands of what we use: its head, unique names, known references, hashes."""
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", bill["serialNumber"])
    everything = [bill["metadata"]["component"], *bill["components"]]
    refs = [one["bom-ref"] for one in everything]
    assert len(refs) == len(set(refs))
    for one in everything:
        assert one["purl"] == one["bom-ref"] == f"pkg:pypi/{one['name']}@{one['version']}"
        assert all(set(each) == {"expression"} for each in one.get("licenses", []))
    assert {one["scope"] for one in bill["components"]} == {"required", "excluded"}
    assert sorted(one["ref"] for one in bill["dependencies"]) == sorted(refs)
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= set(refs)


def test_what_runs_is_told_from_what_tests(bill: dict[str, Any]) -> None:
    """The daemon's own dependencies, and theirs, are required; tools of the tests are not."""
    scopes = {one["name"]: one["scope"] for one in bill["components"]}
    direct = {supply.canonical(name) for name in supply.needs("peerway")}
    assert {"aiohttp", "numpy", "pydantic", "pynacl", "ruamel-yaml"} <= direct
    assert all(scopes[name] == "required" for name in direct | {"pydantic-core", "multidict"})
    assert all(scopes[name] == "excluded" for name in ("pytest", "ruff", "mypy", "hypothesis"))


def test_the_bill_is_the_same_each_time(bill: dict[str, Any]) -> None:
    """The same packages give the same bytes, with the same serial number; other packages another one."""
    assert sbom(PACKAGES) == bill
    assert sbom(PACKAGES[1:])["serialNumber"] != bill["serialNumber"]


def test_licences_of_what_runs_are_known(bill: dict[str, Any]) -> None:
    """Each package that is needed to run says under which licence, and it is one that Apache-2.0 goes with."""
    assert [one["name"] for one in bill["components"] if one["scope"] == "required" and "licenses" not in one] == []


def test_a_lock_without_hash_or_version_is_no_lock() -> None:
    """Every entry is pinned; entries for other Pythons are left out."""
    pinned = f" \\\n    --hash=sha256:{HASH}\n"
    text = f"one==1.0{pinned}    # via peerway\ntwo==2 ; python_version < '3'{pinned}"
    assert locked(text) == [Locked("one", "1.0", (HASH,))]
    for wrong in ("one==1.0\n", f"one>=1.0 --hash=sha256:{HASH}\n", f"one --hash=sha256:{HASH}\n"):
        with pytest.raises(ValueError, match="one is not pinned"):
            locked(wrong)


def test_other_versions_and_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What differs from the lock is a sentence each, with the cure."""
    monkeypatch.setattr(supply, "changed", lambda _: [])
    click = distribution("click").version
    found = list(faults([Locked("click", "0.1", (HASH,)), Locked("no-such-thing", "1", (HASH,))]))
    assert f"click is {click}, the lock says 0.1; run make setup" in found
    assert "no-such-thing 1 is in the lock and not installed; run make setup" in found
    assert "numpy is installed and in no lock; make clean setup" in found
    assert not any(line.startswith(("peerway ", "pip ")) for line in found)


def test_a_changed_file_is_told(tmp_path: Path) -> None:
    """A file whose bytes are not those that were installed, or that is gone, is named."""
    info = tmp_path / "thing-1.dist-info"
    info.mkdir()
    (tmp_path / "bin").mkdir()
    (info / "METADATA").write_text("Name: thing\nVersion: 1\nLicense-Expression: MIT AND GPL-3.0-only\n")
    right = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"  # of nothing
    (info / "RECORD").write_text(
        f"good.py,{right},0\nbad.py,{right},0\ngone.py,{right},0\n../bin/thing,{right},0\nunsaid.py,,\n"
    )
    for name, text in (("good.py", ""), ("bad.py", "import os"), ("unsaid.py", "x")):
        (tmp_path / name).write_text(text)
    assert supply.changed(PathDistribution(info)) == ["bad.py", "gone.py"]
    assert supply.licence(PathDistribution(info)) == ""


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sbom FILE` writes what `sbom` prints; anything else is wrong usage."""
    assert supply.main(["sbom", str(tmp_path / "made" / "bill.json")]) == 0
    capsys.readouterr()
    assert supply.main(["sbom"]) == 0
    assert capsys.readouterr().out == (tmp_path / "made" / "bill.json").read_text()
    assert supply.main(["what"]) == supply.main([]) == 2
