#!/usr/bin/env python3
"""What peerway is made of: tools/supply.py sbom [FILE] writes it down, tools/supply.py check compares it.

Both work without a network, from requirements.lock and from what is installed. `sbom` is CycloneDX 1.6 as JSON: the
packages of the lock that this Python needs, with their hashes and licences; those that only tests need have the scope
"excluded". `check` tells versions that are not the lock's, files that changed since they were installed, packages that
are in no lock, and licences that peerway could not be shipped with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement

ROOT: Final = Path(__file__).resolve().parent.parent
LOCK: Final = ROOT / "requirements.lock"
NAME: Final = "peerway"
UNLOCKED: Final = frozenset({NAME, "pip", "setuptools", "uv", "atheris"})  # us, a venv's own, make lock's, make fuzz's
SPELLINGS: Final = {  # of licences, by packages that do not use SPDX yet
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
ALLOWED: Final = frozenset(
    (
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Zlib",
    )
)


@dataclass(frozen=True, slots=True)
class Locked:
    """One package of the lock."""

    name: str
    version: str
    hashes: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its name in a bill of materials (package-url)."""
        return f"pkg:pypi/{self.name}@{self.version}"


def canonical(name: str) -> str:
    """A package's name as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> list[Locked]:
    """The packages of a lock that this Python needs. Raises ValueError for one that has no version or no hash."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        wanted = Requirement(line.split("--hash=")[0])
        version = str(wanted.specifier).removeprefix("==")
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line))
        if not hashes or not re.fullmatch(r"[\w.+!]+", version):
            raise ValueError(f"{wanted.name} is not pinned by version and hash")
        if wanted.marker is None or wanted.marker.evaluate():
            found.append(Locked(canonical(wanted.name), version, hashes))
    return found


def needs(name: str) -> set[str]:
    """The packages that one needs here, itself excepted; none for one that is not installed."""
    try:
        listed = distribution(name).requires or []
    except PackageNotFoundError:
        return set()
    wanted = map(Requirement, listed)
    return {canonical(one.name) for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})}


def shipped() -> set[str]:
    """What peerway needs to run."""
    found: set[str] = set()
    waiting = needs(NAME)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= needs(name) - found
    return found


def licence(installed: Distribution) -> str:
    """The SPDX expression of an installed package, empty if it tells none that we know."""
    metadata = installed.metadata.json
    classifiers = [str(line).rsplit(" :: ", 1)[-1] for line in metadata.get("classifier", [])]
    told = [metadata.get("license_expression"), metadata.get("license"), *classifiers]
    for words in (str(text) for text in told if text):
        expression = SPELLINGS.get(words, words)
        if set(re.findall(r"[\w.-]+", expression)) - {"AND", "OR"} <= ALLOWED:
            return expression
    return ""


def sbom(packages: list[Locked]) -> dict[str, Any]:
    """The bill of materials; the same for the same packages."""
    running = shipped()
    own = distribution(NAME)
    root = f"pkg:pypi/{NAME}@{own.version}"
    by_name = {one.name: one.purl for one in packages}
    components = [_component(one, "required" if one.name in running else "excluded") for one in packages]
    graph = [{"ref": root, "dependsOn": sorted(by_name[name] for name in needs(NAME) & by_name.keys())}]
    graph += [
        {"ref": one.purl, "dependsOn": sorted(by_name[name] for name in needs(one.name) & by_name.keys())}
        for one in packages
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([root, components, graph]))}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": NAME,
                "version": own.version,
                "purl": root,
                "licenses": [{"expression": licence(own)}],
            }
        },
        "components": components,
        "dependencies": graph,
    }


def _component(one: Locked, scope: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": one.purl,
        "name": one.name,
        "version": one.version,
        "purl": one.purl,
        "scope": scope,
        "hashes": [{"alg": "SHA-256", "content": content} for content in one.hashes],
    }
    try:
        expression = licence(distribution(one.name))
    except PackageNotFoundError:
        expression = ""
    return found | ({"licenses": [{"expression": expression}]} if expression else {})


def faults(packages: list[Locked]) -> Iterator[str]:
    """What is installed and should not be so, one sentence each."""
    installed = {canonical(one.name): one for one in distributions()}
    for package in packages:
        found = installed.get(package.name)
        if found is None:
            yield f"{package.name} {package.version} is in the lock and not installed; run make setup"
            continue
        if found.version != package.version:
            yield f"{package.name} is {found.version}, the lock says {package.version}; run make setup"
        if not licence(found):
            yield f"{package.name} has no licence that peerway may be shipped with; look at it"
        yield from (f"{package.name}: {path} is not as it was installed; make clean setup" for path in changed(found))
    for name in sorted(installed.keys() - {one.name for one in packages} - UNLOCKED):
        yield f"{name} is installed and in no lock; make clean setup"


def changed(installed: Distribution) -> list[str]:
    """The files of a package whose bytes are not those that RECORD tells; not its scripts, which name their Python."""
    found = []
    for file in installed.files or []:
        if file.hash is not None and file.hash.mode == "sha256" and file.parts[0] != "..":
            path = Path(str(file.locate()))
            digest = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                found.append(str(file))
    return found


def main(words: list[str]) -> int:
    """One command; 0 = done, 1 = something is not as it should be, 2 = wrong usage."""
    if not words or words[0] not in ("sbom", "check") or len(words) > 2:
        print(__doc__, file=sys.stderr)
        return 2
    packages = locked(LOCK.read_text())
    if words[0] == "sbom":
        text = json.dumps(sbom(packages), indent=2) + "\n"
        if len(words) == 1:
            print(text, end="")
            return 0
        path = Path(words[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"{path}: {len(packages)} packages, {len(shipped())} of them to run")
        return 0
    told = list(faults(packages))
    print("\n".join(told) or f"{len(packages)} packages are as requirements.lock says, {len(shipped())} of them to run")
    return int(bool(told))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
