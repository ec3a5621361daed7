"""Credentials: which, for whom, and never for anybody else (spec §7.2, §14).

A registry gets nothing but what was set for it until it asks with a 401. Asked for a bearer token we go to its
realm, which must be the registry's own host, and exchange a signature of our key (or the user's password) for one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time

import httpx
import msgspec
from msgspec import Struct

from ollama_engine.registry.bodies import read_body
from ollama_engine.registry.challenge import Challenge, parse_challenges
from ollama_engine.registry.config import RegistryConfig
from ollama_engine.registry.endpoint import Endpoint, is_web_url
from ollama_engine.registry.errors import AccessDenied, RegistryError, Transient

MAX_TOKEN_ANSWER = 1 << 20
_EMPTY_BODY = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()

Key = tuple[str, str]


class _Token(Struct):
    token: str = ""
    access_token: str = ""


class Authorizer:
    """Knows the Authorization header of each repository; learns it from the registry's challenges."""

    def __init__(self, config: RegistryConfig, http: httpx.AsyncClient) -> None:
        self._config = config
        self._http = http
        self._known: dict[Key, str] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    def header(self, endpoint: Endpoint) -> str:
        """The Authorization to send to the registry itself; empty for none."""
        known = self._known.get(_key(endpoint))
        if known is None and endpoint.settings.token:
            return f"Bearer {endpoint.settings.token}"
        return known or ""

    async def answer(self, endpoint: Endpoint, header: str, used: str) -> None:
        """Learn what the 401 with this WWW-Authenticate asks for, `used` having been refused.

        AccessDenied where we have nothing (else) to offer; RegistryError for a realm that we will not go to;
        Transient where the token cannot be had just now.
        """
        async with self._locks.setdefault(_key(endpoint), asyncio.Lock()):
            if self.header(endpoint) not in ("", used):
                return  # another request was refused too and has been here before us
            self._known[_key(endpoint)] = await self._authorization(endpoint, parse_challenges(header), used)

    async def _authorization(self, endpoint: Endpoint, challenges: list[Challenge], used: str) -> str:
        settings = endpoint.settings
        for challenge in challenges:
            if challenge.scheme == "bearer" and challenge.realm:
                return f"Bearer {await self._exchange(endpoint, challenge)}"
            if challenge.scheme == "basic" and settings.username:
                basic = _basic(settings.username, settings.password)
                if basic != used:
                    return basic
        raise denied(endpoint)

    async def _exchange(self, endpoint: Endpoint, challenge: Challenge) -> str:
        url = _realm(endpoint, challenge.realm)
        asked = {"scope": challenge.scope.split()}
        if challenge.service:
            asked["service"] = [challenge.service]
        if endpoint.settings.username:
            url = url.copy_merge_params(asked)
            authorization = _basic(endpoint.settings.username, endpoint.settings.password)
        else:
            asked |= {"ts": [str(int(time.time()))], "nonce": [secrets.token_urlsafe(16)]}
            url = url.copy_merge_params(asked)
            authorization = await asyncio.to_thread(self._signature, str(url))
        return await self._token(endpoint, url, authorization)

    def _signature(self, url: str) -> str:
        from ollama_engine.registry import keys  # cryptography is slow to import, and few pulls sign anything

        identity = keys.load_or_create(self._config.key_file)
        return f"{identity.public_key}:{identity.sign(f'GET,{url},{_EMPTY_BODY}'.encode())}"

    async def _token(self, endpoint: Endpoint, url: httpx.URL, authorization: str) -> str:
        request = self._http.build_request(
            "GET", url, headers={"Authorization": authorization, "Accept-Encoding": "identity"}
        )
        try:
            response = await self._http.send(request, stream=True, follow_redirects=False)
            body = await read_body(response, MAX_TOKEN_ANSWER, f"the token from {url.host}")
        except httpx.TransportError as error:
            raise Transient(f"{url.host} did not hand out a token: {error or type(error).__name__}") from error
        if response.status_code in (401, 403):
            raise denied(endpoint)
        if response.status_code == 429 or response.status_code >= 500:
            raise Transient(f"{url.host} answered {response.status_code} to a request for a token")
        if response.status_code != 200:
            raise RegistryError(f"{url.host} answered {response.status_code} to a request for a token")
        try:
            answer = msgspec.json.decode(body, type=_Token)
        except msgspec.MsgspecError as error:
            raise RegistryError(f"the token from {url.host} cannot be read: {error}") from error
        token = answer.token or answer.access_token
        if not token or not token.isascii() or not token.isprintable():
            raise RegistryError(f"{url.host} handed out no token that can be sent")
        return token


def denied(endpoint: Endpoint) -> AccessDenied:
    host = endpoint.url.host
    return AccessDenied(
        "unauthorized: access denied",
        hint=f"Set username and password, or token, for {host} in config.toml, or add your public key there.",
    )


def _realm(endpoint: Endpoint, realm: str) -> httpx.URL:
    """The realm, if a signature or a password may be sent there (CVE-2025-51471)."""
    if not is_web_url(realm):
        raise RegistryError(f"the registry's token realm is no URL: {realm[:80]!a}")
    url, registry = httpx.URL(realm), endpoint.url
    plain = url.scheme == "http" and registry.scheme != "http"
    same = url.netloc.lower() == registry.netloc.lower()
    if plain or not (same or url.host.lower() in endpoint.settings.realms):
        raise RegistryError(
            f"the registry {registry.host} asks us to identify ourselves to {url.scheme}://{url.netloc.decode()}",
            hint="Refused: only the registry's own host may ask, by https. Allow others with `realms` in config.toml.",
        )
    return url


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _key(endpoint: Endpoint) -> Key:
    return endpoint.base, endpoint.repository
