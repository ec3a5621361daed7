"""What addresses and host names mean: this machine itself, its network, or elsewhere."""

from __future__ import annotations

import ipaddress
import socket

import psutil

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PRIVATE = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")


def address_of(text: str) -> Address | None:
    """The address that `text` is, IPv4 also where it comes as IPv6 (`::ffff:127.0.0.1`); None where it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether a server bound to `host` can be reached from this machine only, and a client at `host` is on it."""
    name = host.lower()
    address = address_of(name)
    return address.is_loopback if address else name == "localhost" or name.endswith(".localhost")


def host_without_port(header: str) -> str:
    """The host of a Host header: brackets and port off; empty where a bracket is left open."""
    if header.startswith("["):
        host, closed, _ = header[1:].partition("]")
        return host if closed else ""
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def is_local_name(host: str) -> bool:
    name = host.lower()
    return bool(name) and (name in ("localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_SUFFIXES))


def is_local_address(host: str) -> bool:
    """Loopback, private, unspecified, or an address of this machine."""
    address = address_of(host)
    if address is None:
        return False
    if address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE):
        return True
    return address in _interface_addresses()


def _interface_addresses() -> set[Address]:
    texts = (entry.address for entries in psutil.net_if_addrs().values() for entry in entries)
    return {address for text in texts if (address := address_of(text))}
