"""A narrated tour: headings, sentences, commands with what they print, and claims that are checked."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable
from typing import Final, TextIO

from peerway.lab.namespace import Namespace

TIMEOUT: Final = 300.0  # seconds: an emulated machine takes minutes; on a usual one each claim comes true within two
WIDTH: Final = 100


class DemoFailedError(RuntimeError):
    """
    A claim of the tour did not come true.
    """


class Tour:
    """
    The narrator. `nicknames` stand for long words such as public keys, `striking` are words to look for in outputs;
    `trouble` tells why waiting is in vain. Colour only on a terminal.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        """
        Speak to `out`, and of failures to `err`.
        """
        self._out, self._err = out, err
        self._colour = out.isatty()
        self._step = 0
        self.nicknames: dict[str, str] = {}
        self.striking: tuple[str, ...] = ()
        self.trouble: Callable[[], str] = lambda: ""

    def heading(self, text: str) -> None:
        """
        Begin the next part.
        """
        self._step += 1
        self._write("\n" + self._styled(f"{self._step}. {text}", "1"))

    def say(self, text: str) -> None:
        """
        A paragraph of prose.
        """
        for paragraph in textwrap.dedent(text).strip().split("\n\n"):
            self._write(
                textwrap.fill(" ".join(paragraph.split()), WIDTH, initial_indent="   ", subsequent_indent="   ")
            )

    def picture(self, text: str) -> None:
        """
        Lines that are printed as they stand.
        """
        self._write("\n" + textwrap.indent(textwrap.dedent(text).strip("\n "), "     "))

    def show(self, where: Namespace, command: str, *argv: str, only: str = "") -> str:
        """
        Run a command and print it, as `command` if `argv` differs from what a reader would type, with those lines of
        its output that match `only`. Returns the output.
        """
        output = where.run(*(argv or command.split()), check=False)
        self._write(self._styled(f"   {where.label}$ {command}", "36"))
        for line in output.splitlines():
            if line.strip() and re.search(only, line):
                self._write("     " + self._short(line.replace("\t", "  ").rstrip()))
        return output

    def check(self, what: str, predicate: Callable[[], object]) -> None:
        """
        Wait until a claim is true, and say so. Raises DemoFailedError if it does not become true.
        """
        start = time.monotonic()
        while not predicate():
            if reason := self.trouble():
                raise DemoFailedError(f"{reason}, so this cannot come true: {what}")
            if time.monotonic() - start > TIMEOUT:
                raise DemoFailedError(f"this did not come true within {TIMEOUT:.0f} s: {what}")
            time.sleep(0.02)
        self._write(self._styled("   ok ", "32") + what)

    def complain(self, text: str) -> None:
        """
        Tell what went wrong.
        """
        print(text, file=self._err, flush=True)

    def _short(self, text: str) -> str:
        """Put nicknames for long words, and colour on those to look for."""
        for word, nickname in self.nicknames.items():
            text = text.replace(word, nickname)
        for word in self.striking:
            text = text.replace(word, self._styled(word, "1;33"))
        return text

    def _styled(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def _write(self, text: str) -> None:
        print(text, file=self._out, flush=True)
