"""What signing raises. Messages name keys and files, never what is in a secret one."""

from pdp.core.errors import PdpError


class NoteError(PdpError):
    """A signed note or a key is malformed, or too few known keys signed it."""


class KeyFileError(PdpError):
    """A key file is missing, readable by others than its owner, or malformed."""
