"""A client's certificate files, read again when they change: short-lived identities are replaced while it runs."""

from __future__ import annotations

import logging
import ssl
from typing import Final

import grpc

from pdp.client.settings import ClientTls

_log: Final = logging.getLogger(__name__)


class Certificates:
    """The files of one ``ClientTls``, watched by their modification times.

    A change that does not hold together, such as a certificate whose key is not yet written, is not taken: what
    worked stays until the files agree.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: a file is malformed, or key and certificate do not match.
    """

    def __init__(self, tls: ClientTls) -> None:
        self._tls = tls
        self._check()
        self._seen = self._stamp()

    def changed(self) -> bool:
        """Say whether there is a usable change since the last that was told."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            self._check()
        except OSError as error:  # ssl.SSLError is one
            _log.warning("certificate files changed and cannot be used yet: %s", type(error).__name__)
            return False
        self._seen = stamp
        return True

    def credentials(self) -> grpc.ChannelCredentials:
        """Give what the files hold now."""
        tls = self._tls
        return grpc.ssl_channel_credentials(
            tls.ca.read_bytes(),
            tls.private_key.read_bytes() if tls.private_key else None,
            tls.certificate.read_bytes() if tls.certificate else None,
        )

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self._tls.ca)
        if self._tls.certificate:
            context.load_cert_chain(self._tls.certificate, self._tls.private_key)

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        files = (self._tls.ca, self._tls.certificate, self._tls.private_key)
        stats = [file.stat() for file in files if file]
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)
