"""The server's certificate: loaded before anything listens, and again whenever it is renewed."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from ollama_engine.errors import InvalidRequest
from ollama_engine.settings import Settings

_LOG = logging.getLogger("ollama_engine.server")


class Certificate:
    """A certificate with its private key, and the context that connections are made with."""

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """InvalidRequest, which names the file, where one cannot be used."""
        self._certificate = certificate.expanduser()
        self._key = key.expanduser() if key else None
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._load(self.context)

    @classmethod
    def of(cls, settings: Settings) -> Certificate | None:
        """None where the server speaks plain HTTP."""
        if settings.tls_cert is not None:
            return cls(settings.tls_cert, settings.tls_key)
        if settings.tls_key is not None:
            raise InvalidRequest("a TLS key without a certificate was given", hint="Name it: --tls-cert FILE.")
        return None

    def reload(self) -> None:
        """Use what the files hold now, for connections to come; what cannot be used changes nothing."""
        try:
            # Tried on another one first: half a change would be worse than none.
            self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            self._load(self.context)
        except InvalidRequest as error:
            _LOG.error("the old certificate stays in use: %s", error.message)
        else:
            _LOG.info("loaded the certificate again from %s", self._certificate)

    def _load(self, context: ssl.SSLContext) -> None:
        for path in filter(None, (self._certificate, self._key)):
            try:
                path.read_bytes()
            except OSError as error:
                why = error.strerror or error
                raise InvalidRequest(f"cannot read {path}: {why}", hint="Correct --tls-cert and --tls-key.") from error
        try:
            # With a password of none, where OpenSSL would ask at the terminal.
            context.load_cert_chain(self._certificate, self._key, password=lambda: b"")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise InvalidRequest(
                f"cannot use the certificate {self._certificate} with the key {self._key or self._certificate}: "
                f"{getattr(error, 'reason', None) or error}",
                hint="Both are PEM files, the certificate with its chain, the key without a password.",
            ) from error
