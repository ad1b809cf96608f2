"""The SPIFFE id of a client, from Envoy's ``x-forwarded-client-cert``.

Envoy writes the header anew for each request (SANITIZE_SET) from the certificate it verified, so on that listener
no other hand can have written it. An X.509-SVID has exactly one URI SAN (SPIFFE X509-SVID section 2); a
certificate with none or several proves membership of the CA but names nobody.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SPIFFE_ID = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/[A-Za-z0-9._-]+)*")
_MAX_LENGTH = 2048


def spiffe_id(uri: str) -> str | None:
    """The URI if it is a well-formed SPIFFE id (SPIFFE-ID section 2), else None."""
    well_formed = len(uri) <= _MAX_LENGTH and _SPIFFE_ID.fullmatch(uri) is not None
    return uri if well_formed else None


@lru_cache(maxsize=4096)
def from_xfcc(header: bytes) -> str | None:
    """The one URI SAN in a header of the form ``By=...;Hash=...;URI=...``; None if there is not exactly one.

    A separator inside a SAN makes more elements, never fewer: what is ambiguous is nobody.
    """
    elements = header.decode("latin-1").replace(",", ";").split(";")
    uris = [element[4:] for element in elements if element[:4].lower() == "uri="]
    return spiffe_id(uris[0]) if len(uris) == 1 else None
