"""ServerTls: the certificate that a server shows, and whose certificates its clients may show."""

import ssl
from pathlib import Path

import structlog

from recording_worker.errors import ConfigError

log = structlog.get_logger()

Stamp = tuple[int, int, int] | None


class ServerTls:
    """TLS of a server. Its files are read again when they change, because certificates are renewed while it runs.

    If what they hold then can't be used, the server goes on with what it had, and the log says so.
    """

    def __init__(self, certificate: Path, key: Path | None = None, client_ca: Path | None = None) -> None:
        """Read the files, which are PEM. Raises ConfigError.

        `certificate`: the server's, and those that lead to its authority. `key`: its private key; in the same file if
        not given. `client_ca`: the authorities that sign certificates of clients.
        """
        self._certificate = certificate
        self._key = key
        self._client_ca = client_ca
        self._stamps = self._looks()
        self._context = self._read()

    @property
    def needs_certificates(self) -> bool:
        """Whether clients need a certificate for what is not for all."""
        return self._client_ca is not None

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is made with. Not for several threads."""
        stamps = self._looks()
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._context = self._read()
            except ConfigError as error:
                log.warning("a certificate can't be used: the one before stays", error=str(error))
            else:
                log.info("certificate read again", file=str(self._certificate))
        return self._context

    def _looks(self) -> list[Stamp]:
        return [_stamp(file) for file in (self._certificate, self._key, self._client_ca) if file is not None]

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            # without a password OpenSSL would ask for one on the terminal if the key is encrypted
            context.load_cert_chain(self._certificate, self._key, password=b"")
        except OSError as error:
            files = " and ".join(str(file) for file in (self._certificate, self._key) if file is not None)
            raise ConfigError(
                f"{files}: no certificate with its key, which must not be encrypted: {_said(error)}"
            ) from None
        if self._client_ca is not None:
            try:
                context.load_verify_locations(self._client_ca)
            except OSError as error:
                raise ConfigError(f"{self._client_ca}: no certificates of authorities: {_said(error)}") from None
            context.verify_mode = ssl.CERT_OPTIONAL  # probes have none
        return context


def _stamp(file: Path) -> Stamp:
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _said(error: OSError) -> str:
    """Return what the system or OpenSSL said."""
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)
