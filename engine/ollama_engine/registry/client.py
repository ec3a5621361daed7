"""Requests to a registry: authorized, redirected within bounds, read within bounds (spec §7.2, §14).

Redirects are followed by hand, because the rules differ by hop: credentials go to the registry's own origin only,
https never becomes http, and a registry out in the world cannot point us at an address of the local network.
"""

from __future__ import annotations

import asyncio
import platform
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from msgspec import Struct

from ollama_engine import __version__
from ollama_engine.errors import InvalidRequest, NotFound
from ollama_engine.registry.auth import Authorizer, denied
from ollama_engine.registry.bodies import error_text, read_body
from ollama_engine.registry.config import RegistryConfig
from ollama_engine.registry.endpoint import Endpoint, address, is_loopback, is_private, is_web_url, origin
from ollama_engine.registry.errors import AccessDenied, RegistryError, Transient, Unconnected, UnsafeRedirect
from ollama_engine.registry.pace import persist, retry_after
from ollama_engine.store import digests
from ollama_engine.store.digests import Digest
from ollama_engine.store.manifest import MANIFEST_TYPE, MAX_MANIFEST

MAX_REDIRECTS = 6
REDIRECTS = (301, 302, 303, 307, 308)
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
CONNECT_TIMEOUT = 30.0
FIRST_CONNECTS = 3
"""Connections tried for a manifest, the first thing asked: without a network the answer must not take long."""
USER_AGENT = f"ollama-tui/{__version__} ({platform.machine().lower()} {platform.system().lower()})"

Body = bytes | AsyncIterator[bytes]
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class FetchedManifest(Struct, frozen=True):
    """A manifest as the registry sent it, and the sha256 of those bytes."""

    data: bytes
    digest: Digest


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """The addresses that a host name stands for; none where it has none (or only a proxy knows it)."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(item[4][0]) for item in found]


def open_http(config: RegistryConfig) -> httpx.AsyncClient:
    """The client of all transfers: proxies from the environment, but never for this machine; extra CAs by host.

    InvalidRequest for a CA file that cannot be read, and for a proxy that cannot be used.
    """
    mounts: dict[str, httpx.AsyncBaseTransport | None] = {
        "all://localhost": None,
        "all://127.0.0.1": None,
        "all://[::1]": None,
    }
    limits = httpx.Limits(max_connections=config.connections + 8, max_keepalive_connections=config.connections)
    for host, settings in config.hosts.items():
        if not is_web_url(f"https://{host}"):
            raise InvalidRequest(f"{host[:80]!a} in [registry.hosts] is no host", hint="Correct config.toml.")
        if settings.ca_file:
            verify = _trusting(settings.ca_file)
            own = is_loopback(httpx.URL(f"https://{host}").host)
            proxy = None if own or urllib.request.proxy_bypass(host) else _https_proxy()
            with _proxying():
                mounts[f"https://{host}"] = httpx.AsyncHTTPTransport(verify=verify, proxy=proxy, limits=limits)
    timeout = httpx.Timeout(config.stall, connect=min(CONNECT_TIMEOUT, config.stall), pool=None)
    with _proxying():
        return httpx.AsyncClient(
            headers={"User-Agent": USER_AGENT}, timeout=timeout, limits=limits, mounts=mounts, follow_redirects=False
        )


@contextmanager
def _proxying() -> Iterator[None]:
    """Say which setting is at fault when httpx cannot use the environment's proxy."""
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise InvalidRequest(
            f"cannot use the proxy of the environment: {error}",
            hint="Correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY; SOCKS needs the package socksio.",
        ) from error


def _trusting(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InvalidRequest(
            f"cannot read the CA file {ca_file}: {error}", hint="Correct ca_file in config.toml.", path=Path(ca_file)
        ) from error
    return context


def _https_proxy() -> str | None:
    proxies = urllib.request.getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


class RegistryClient:
    """What pull, push and the update check ask of registries."""

    def __init__(self, config: RegistryConfig, http: httpx.AsyncClient, resolve: Resolve = resolve_host) -> None:
        self.config = config
        self.http = http
        self._resolve = resolve
        self._authorizer = Authorizer(config, http)
        self._private_hosts: dict[str, bool] = {}

    async def manifest(self, endpoint: Endpoint) -> FetchedManifest:
        """The manifest of a model; NotFound, AccessDenied, RegistryError, ServerUnreachable."""
        return await persist(
            lambda: self._manifest(endpoint),
            self.config,
            f"get the manifest from {endpoint.url.host}",
            connects=FIRST_CONNECTS,
        )

    async def _manifest(self, endpoint: Endpoint) -> FetchedManifest:
        headers = {"Accept": MANIFEST_TYPE, "Accept-Encoding": "identity"}
        response = await self.send(endpoint, "GET", endpoint.manifest, headers)
        if response.status_code == 404:
            await response.aclose()
            raise NotFound(
                "pull model manifest: file does not exist",
                hint=f"See on {endpoint.url.host} which models and tags exist.",
            )
        if response.status_code != 200:
            raise await self.refusal(endpoint, response, "pull model manifest")
        data = await read_body(response, MAX_MANIFEST, f"the manifest from {endpoint.url.host}")
        digest = digests.of_bytes(data)
        stated = response.headers.get("docker-content-digest", "")
        if stated.startswith("sha256:") and stated != str(digest):
            raise Transient(f"the manifest is not what its digest says: want {stated[:71]!a}, got {digest}")
        return FetchedManifest(data, digest)

    async def manifest_digest(self, endpoint: Endpoint) -> Digest | None:
        """The digest of the manifest that the registry has now, by HEAD where it says it; None where it has none."""
        return await persist(lambda: self._manifest_digest(endpoint), self.config, f"ask {endpoint.url.host}")

    async def _manifest_digest(self, endpoint: Endpoint) -> Digest | None:
        response = await self.send(endpoint, "HEAD", endpoint.manifest, {"Accept": MANIFEST_TYPE})
        await response.aclose()
        if response.status_code == 404:
            return None
        stated = response.headers.get("docker-content-digest", "")
        if response.status_code == 200 and stated.startswith("sha256:"):
            return digests.parse(stated)
        try:
            return (await self._manifest(endpoint)).digest
        except NotFound:
            return None

    async def send(
        self,
        endpoint: Endpoint,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Body] | None = None,
    ) -> httpx.Response:
        """The answer, its body unread, after redirects (of GET and HEAD) and one answer to a 401.

        `body` makes the content anew for each try. AccessDenied on a second 401; UnsafeRedirect; Transient
        when the connection breaks.
        """
        used = self._authorizer.header(endpoint)
        response = await self._follow(endpoint, method, url, headers or {}, used, body)
        if response.status_code != 401 or not self.is_own(endpoint, response.url):
            return response
        await response.aclose()
        await self._authorizer.answer(endpoint, response.headers.get("www-authenticate", ""), used)
        response = await self._follow(endpoint, method, url, headers or {}, self._authorizer.header(endpoint), body)
        if response.status_code == 401 and self.is_own(endpoint, response.url):
            await response.aclose()
            raise denied(endpoint)
        return response

    async def get(self, url: httpx.URL, headers: Mapping[str, str]) -> httpx.Response:
        """The answer of a URL that needs no credentials; redirects are answers. Transient."""
        return await self._once("GET", url, headers, None)

    async def put(self, url: httpx.URL, headers: Mapping[str, str], body: Callable[[], Body]) -> httpx.Response:
        """The answer of a URL that takes bytes without credentials. Transient."""
        return await self._once("PUT", url, headers, body)

    def is_own(self, endpoint: Endpoint, url: httpx.URL) -> bool:
        """Whether the URL is at the registry's own origin, where its credentials may be sent."""
        return origin(url) == origin(endpoint.url)

    async def refusal(self, endpoint: Endpoint, response: httpx.Response, doing: str) -> Exception:
        """The error that an answer beyond the expected ones stands for; to raise. Reads the body's beginning."""
        text = await error_text(response)
        code = response.status_code
        if code in TRY_AGAIN:
            return Transient(f"{response.url.host} answered {code} {text}".strip(), wait=retry_after(response))
        if code in (401, 403):
            return AccessDenied(f"{doing}: {code}: {text or 'access denied'}", hint=denied(endpoint).hint)
        if code == 404:
            return NotFound(f"{doing}: file does not exist", hint=f"It is not (or no longer) on {endpoint.url.host}.")
        return RegistryError(f"{doing}: {code}: {text}".rstrip(": "))

    async def _follow(
        self,
        endpoint: Endpoint,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        authorization: str,
        body: Callable[[], Body] | None,
    ) -> httpx.Response:
        for _ in range(MAX_REDIRECTS):
            own = {"Authorization": authorization} if authorization and self.is_own(endpoint, url) else {}
            response = await self._once(method, url, {**headers, **own}, body)
            if response.status_code not in REDIRECTS or method not in ("GET", "HEAD"):
                return response
            await response.aclose()
            url = await self.redirected(endpoint, url, response.headers.get("location", ""))
        raise UnsafeRedirect(
            f"the registry {endpoint.url.host} redirects in circles ({MAX_REDIRECTS} times, last to {url.host})",
            hint="Try another registry or mirror.",
        )

    async def redirected(self, endpoint: Endpoint, here: httpx.URL, location: str) -> httpx.URL:
        """Where a redirect leads; UnsafeRedirect where it must not."""
        try:
            url = here.join(location)
        except (httpx.InvalidURL, ValueError):
            url = here.copy_with(scheme="invalid")
        if not location or not is_web_url(str(url)):
            raise UnsafeRedirect(f"the registry {endpoint.url.host} redirects to no URL: {location[:80]!a}")
        if here.scheme == "https" and url.scheme == "http":
            raise UnsafeRedirect(
                f"{here.host} redirects from https to http ({url.host})", hint="Refused: nothing would protect it."
            )
        if not self.is_own(endpoint, url) and await self._is_private(url) and not await self._is_private(endpoint.url):
            raise UnsafeRedirect(
                f"the registry {endpoint.url.host} redirects to a private address ({url.host})",
                hint="Refused: a registry on the internet has no business in your network.",
            )
        return url

    async def _is_private(self, url: httpx.URL) -> bool:
        """Whether any address of the URL's host is one that only this machine's network knows."""
        host = url.host
        if host not in self._private_hosts:
            known = address(host)
            texts = [host] if known else [] if is_loopback(host) else await self._resolve(host, url.port or 443)
            found = [known for text in texts if (known := address(text))]
            self._private_hosts[host] = is_loopback(host) or any(is_private(known) for known in found)
        return self._private_hosts[host]

    async def _once(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], body: Callable[[], Body] | None
    ) -> httpx.Response:
        request = self.http.build_request(method, url, headers=headers, content=body() if body else None)
        try:
            return await self.http.send(request, stream=True)
        except httpx.TransportError as error:
            kind = Unconnected if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else Transient
            raise kind(transport_reason(url, error)) from error


def transport_reason(url: httpx.URL, error: httpx.TransportError) -> str:
    """What broke, in words."""
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return f"cannot connect to {url.host}: {error or 'it does not answer'}"
    if isinstance(error, httpx.TimeoutException):
        return f"{url.host} sends nothing any more"
    return f"the connection to {url.host} broke: {error or type(error).__name__}"
