"""The narrator of the demo: what it prints, and that it does not tell what is not true."""

from __future__ import annotations

import io

import pytest
from typing_extensions import override

from peerway.lab import tour as tours
from peerway.lab.namespace import Namespace
from peerway.lab.tour import DemoFailedError, Tour


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


class Told(Namespace):
    """A namespace where every command prints the same."""

    def __init__(self, output: str) -> None:
        super().__init__("berlin")
        self.output = output
        self.commands: list[tuple[str, ...]] = []

    @override
    def run(self, *argv: str, check: bool = True, input: str | None = None) -> str:
        self.commands.append(argv)
        return self.output


def tour(out: io.StringIO | None = None) -> tuple[Tour, io.StringIO]:
    out = out or io.StringIO()
    return Tour(out, io.StringIO()), out


def test_a_claim_is_told_once_it_is_true() -> None:
    """A claim that comes true after a while is told then, once."""
    here, out = tour()
    answers = iter([False, False, True])
    here.check("the sun rises", lambda: next(answers))
    assert out.getvalue() == "   ok the sun rises\n"


def test_a_false_claim_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that does not come true raises with its words, and is not printed."""
    monkeypatch.setattr(tours, "TIMEOUT", 0.05)
    here, out = tour()
    with pytest.raises(DemoFailedError, match="pigs fly"):
        here.check("pigs fly", lambda: False)
    assert out.getvalue() == ""


def test_waiting_ends_when_it_is_in_vain() -> None:
    """Trouble ends the waiting at once, and is told with the claim."""
    here, _ = tour()
    here.trouble = lambda: "BIRD ended at oslo"
    with pytest.raises(DemoFailedError, match=r"BIRD ended at oslo.*: pigs fly"):
        here.check("pigs fly", lambda: False)


def test_a_command_is_shown_as_one_would_type_it() -> None:
    """The shown command is the short one, the run one the real one; long words have their nicknames in the output."""
    here, out = tour()
    here.nicknames["KEY="] = "<paris's key>"
    namespace = Told("KEY=\t10.0.0.0/8\nnoise\n\n")
    assert here.show(namespace, "wg show", "/usr/bin/wg", "show", only="KEY").startswith("KEY=")
    assert namespace.commands == [("/usr/bin/wg", "show")]
    assert out.getvalue() == "   berlin$ wg show\n     <paris's key>  10.0.0.0/8\n"
    here.show(namespace, "wg show")
    assert namespace.commands[-1] == ("wg", "show")


def test_colour_is_for_terminals_only() -> None:
    """Nothing that goes elsewhere holds an escape code; on a terminal headings and words to look for stand out."""
    for out, coloured in ((io.StringIO(), False), (Terminal(), True)):
        here, _ = tour(out)
        here.striking = ("10.99.0.0/24",)
        here.heading("First")
        here.heading("Second")
        here.say("Prose that is long enough to be folded. " * 5)
        here.show(Told("10.99.0.0/24 via x\n"), "ip route")
        text = out.getvalue()
        assert ("\033[" in text) is coloured
        assert "2. Second" in text
        assert all(len(line) <= 110 for line in text.splitlines())
