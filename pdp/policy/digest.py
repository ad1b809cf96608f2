"""The name of a policy revision: a digest over every byte of every file, so equal names mean equal policies."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def revision_of(files: Mapping[str, bytes]) -> str:
    """Give ``sha256:`` and the hexadecimal SHA-256 over the files in the order of their paths.

    Each file counts as path length, path, content length, content; the lengths are 8 bytes, big-endian, and the
    path is UTF-8. The lengths make the encoding injective: no byte can move between a path and a content.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        for part in (path.encode(), files[path]):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return "sha256:" + digest.hexdigest()
