"""Where a policy comes from: a folder, a bundle file, a web address, or a git repository."""

from pdp.policy.origins.choose import Approach, SourceError, open_origin
from pdp.policy.origins.folder import FolderOrigin
from pdp.policy.origins.origin import Contents, Origin, PolicyUnavailableError

__all__ = ["Approach", "Contents", "FolderOrigin", "Origin", "PolicyUnavailableError", "SourceError", "open_origin"]
