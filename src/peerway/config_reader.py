"""The configuration is read by a process of its own: the libraries for it take 14 MB, which go when it ends."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from peerway.config_errors import ConfigError, Problem
from peerway.settings import DEFAULT_FILE, Settings


def read(file: Path | None) -> Settings:
    """
    Read a file, or the default one, which may be missing. Raises ConfigError with all that is wrong.
    """
    if file is None and not DEFAULT_FILE.exists():
        return Settings()
    words = [sys.executable, "-P", "-m", "peerway.config_reader", *([str(file)] if file else [])]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)  # noqa: S603 - ours
        answer = pickle.loads(done.stdout)  # noqa: S301 - we wrote it
    except (OSError, subprocess.SubprocessError, EOFError, pickle.UnpicklingError) as error:
        cure = "look at the lines before, which tell more"
        raise ConfigError(
            [Problem(str(file or DEFAULT_FILE), 0, "", "", f"its reader failed ({error})", cure)]
        ) from None
    if isinstance(answer, Settings):
        return answer
    raise ConfigError([*answer])


def main(words: list[str]) -> None:
    """
    The other process: the settings, or what is wrong with them, on its standard output.
    """
    from peerway.config import load  # noqa: PLC0415 - this is what must not be in the daemon

    answer: Settings | tuple[Problem, ...]
    try:
        answer = load(Path(words[0]) if words else None).resolved()
    except ConfigError as error:
        answer = error.problems
    sys.stdout.buffer.write(pickle.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
