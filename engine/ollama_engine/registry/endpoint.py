"""Where a model lies at its registry: the URLs of the OCI distribution protocol (spec §7.2)."""

from __future__ import annotations

import ipaddress

import httpx
from msgspec import Struct

from ollama_engine.errors import InvalidRequest
from ollama_engine.registry.config import HostConfig, RegistryConfig
from ollama_engine.store.digests import Digest
from ollama_engine.store.names import ModelName

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Endpoint(Struct, frozen=True):
    """One repository at one registry. `base` is `scheme://host[:port][/prefix]`, no slash at the end."""

    base: str
    repository: str
    tag: str
    settings: HostConfig

    @property
    def url(self) -> httpx.URL:
        return httpx.URL(self.base)

    @property
    def manifest(self) -> httpx.URL:
        return self._url(f"manifests/{self.tag}")

    @property
    def uploads(self) -> httpx.URL:
        return self._url("blobs/uploads/")

    def blob(self, digest: Digest) -> httpx.URL:
        return self._url(f"blobs/{digest}")

    def _url(self, path: str) -> httpx.URL:
        return httpx.URL(f"{self.base}/v2/{self.repository}/{path}")


def locate(name: ModelName, config: RegistryConfig, *, insecure: bool = False) -> Endpoint:
    """The endpoint of a model. `insecure` means plain http, also for a name that says https (spec §7.1).

    InvalidRequest for an http name without it, for a host or a mirror that is none.
    """
    settings = config.host(name.host)
    insecure = insecure or settings.insecure
    if settings.mirror:
        base = settings.mirror.rstrip("/")
    elif name.scheme == "http" and not insecure:
        raise InvalidRequest("insecure protocol http", hint="Allow it with --insecure if you trust the network.")
    else:
        base = f"{'http' if insecure else 'https'}://{name.host}"
    if not is_web_url(base):
        raise InvalidRequest(f"cannot make a URL of the registry {base!a}", hint="Check the host's name and port.")
    return Endpoint(base, f"{name.namespace}/{name.model}", name.tag, settings)


def is_web_url(text: str) -> bool:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not url.userinfo


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port: what must be equal for credentials to be sent."""
    return url.scheme, url.host.lower().rstrip("."), url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def address(host: str) -> Address | None:
    """The IP address that a URL's host is, if it is one; IPv4 written as IPv6 counts as IPv4."""
    try:
        found = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def is_loopback(host: str) -> bool:
    known = address(host)
    name = host.lower().rstrip(".")
    return known.is_loopback if known else name == "localhost" or name.endswith(".localhost")


def is_private(known: Address) -> bool:
    """An address that a stranger's redirect must not reach: loopback, a local network, link-local, none at all."""
    return not known.is_global or known.is_multicast
