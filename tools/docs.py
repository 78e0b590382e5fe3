"""Write what is generated in docs/: the configuration reference and the manual pages. A test sees if they drift."""

from __future__ import annotations

from pathlib import Path

from peerway.config_reference import reference
from tools.manpages import pages

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Write all."""
    (DOCS / "config.md").write_text(reference())
    man = DOCS / "man"
    man.mkdir(exist_ok=True)
    fresh = pages()
    for old in man.glob("*.1"):
        if old.name not in fresh:
            old.unlink()
    for name, text in fresh.items():
        (man / name).write_text(text)


if __name__ == "__main__":
    main()
