"""`peerway monitor`: the event stream, one line each."""

from __future__ import annotations

import json
from typing import Any

import click

from peerway.cli.output import clean
from peerway.cli.session import NO_DAEMON, Failure, Session, json_option, pass_session


@click.command
@json_option
@pass_session
def command(session: Session, as_json: bool) -> None:  # noqa: FBT001  click's
    """Print what happens, one line for each event."""
    try:
        with session.daemon() as daemon:
            for event in daemon.events():
                if event:
                    click.echo(json.dumps(event) if as_json else _line(event))
    except KeyboardInterrupt:
        return  # this is how it ends
    raise Failure("the daemon ended the stream: it stopped, or this terminal was too slow", NO_DAEMON)


def _line(event: dict[str, Any]) -> str:
    rest = dict(event)
    head = [str(rest.pop("time", "")), clean(rest.pop("interface", None)), str(rest.pop("event", ""))]
    return " ".join([*head, *(_field(key, value) for key, value in rest.items())])


def _field(key: str, value: Any) -> str:
    match key, value:
        case "peer", str():
            return f"peer {clean(value[:8])}"
        case "path", dict():
            hops = [f"via {hop['gateway']}" for hop in value.get("nexthops", ()) if hop.get("gateway")]
            words = (f"{name} {value[name]}" for name in ("table", "protocol", "metric", "nexthop_id") if name in value)
            return clean(" ".join([*hops, *words]))
        case _, dict() | list():
            return f"{key} {clean(json.dumps(value))}"
        case _:
            return f"{key} {clean(value)}"
