"""Certificate files, read again when they change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from pdp.server.rpc import Tls

_log = logging.getLogger(__name__)


def check(tls: Tls) -> None:
    """Verify that the files exist, parse and belong together.

    Raises:
        OSError: a file cannot be read.
        ssl.SSLError: a file is malformed, or key and certificate do not match.
    """
    server_context(tls)


def server_context(tls: Tls) -> ssl.SSLContext:
    """A TLS context of these files: TLS 1.2 at least, a client certificate required if ``client_ca`` is set.

    Raises:
        OSError, ssl.SSLError: as ``check``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.private_key)
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Certificates:
    """The files of one ``Tls``, watched by their modification times.

    A change that does not hold together, such as a new certificate whose key is not yet written, is not taken:
    the pair that worked stays until the files agree.

    Raises:
        OSError, ssl.SSLError: from the constructor, when the first read finds nothing usable.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        check(tls)
        self._seen = self._stamp()

    def changed(self) -> bool:
        """Whether there is a usable change since the last call that returned True."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return False
            check(self._tls)
        except (OSError, ssl.SSLError) as error:
            _log.warning("certificate files changed but cannot be used yet: %s", type(error).__name__)
            return False
        self._seen = stamp
        return True

    def grpc_configuration(self) -> grpc.ServerCertificateConfiguration:
        """The files' present content for grpcio."""
        pair = (Path(self._tls.private_key).read_bytes(), Path(self._tls.certificate).read_bytes())
        roots = Path(self._tls.client_ca).read_bytes() if self._tls.client_ca else None
        return grpc.ssl_server_certificate_configuration([pair], roots)

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Server credentials that look at the files on each handshake."""

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            return self.grpc_configuration() if self.changed() else None

        require = self._tls.client_ca is not None
        return grpc.dynamic_ssl_server_credentials(
            self.grpc_configuration(),
            fetch,  # type: ignore[arg-type]  # the stubs omit None, which keeps what is in use
            require,
        )

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        files = [self._tls.certificate, self._tls.private_key, self._tls.client_ca]
        stats = [Path(file).stat() for file in files if file]
        return tuple((stat.st_mtime_ns, stat.st_ino, stat.st_size) for stat in stats)
