"""What the server says of itself when it has begun: where it is, and who may use it."""

from __future__ import annotations

import socket
from dataclasses import replace

import click

from ollama_engine.keys import Keyring
from ollama_engine.server.security.addresses import is_loopback
from ollama_engine.settings import HostAddress, Settings


def announce(address: HostAddress, settings: Settings) -> None:
    """Say where the server is, and who may use it; makes the first key where one is needed and there is none."""
    click.echo(f"Serving Ollama's API at {address.client.url} (Ctrl-C to stop)", err=True)
    for line in _access_lines(address, settings):
        click.echo(line, err=True)


def _access_lines(address: HostAddress, settings: Settings) -> list[str]:
    exposed = not is_loopback(address.host)
    if settings.require_key == "never":
        warning = "No key is asked for: whoever reaches this address may use, change and remove the models."
        return [warning] if exposed else []
    if not exposed and settings.require_key == "remote":
        return []
    who = "Everybody" if settings.require_key == "always" else "Whoever is not on this machine"
    keyring = Keyring.of(settings)
    if known := len(keyring.known()):
        count = "1 key is known" if known == 1 else f"{known} keys are known"
        return [f"{who} needs a key; {count} ('ollama-tui key list')."]
    _, token = keyring.create("first", "admin")
    return [
        f"{who} needs a key. There was none, so this one was made; it is shown this once:",
        "",
        f"  OLLAMA_HOST={_reachable_url(address)}",
        f"  OLLAMA_API_KEY={token}",
        f"  Authorization: Bearer {token}",
        "",
        "The first two lines are for ollama-tui and Ollama's clients, the third for every other.",
        "'ollama-tui key new' makes more, for inference only unless told otherwise; 'key revoke first' ends this one.",
    ]


def _reachable_url(address: HostAddress) -> str:
    """The URL for other machines; where the server is bound to every address, the one on the way to the network."""
    if address.host not in ("0.0.0.0", "::"):
        return address.url
    return replace(address, host=_outward_address() or socket.gethostname()).url


def _outward_address() -> str:
    """The address that this machine has towards the network; empty where it has none. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: no packet leaves for a datagram's connect
            return probe.getsockname()[0]
    except OSError:
        return ""
