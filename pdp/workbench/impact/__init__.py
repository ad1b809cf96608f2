"""What a change does: which requests would be answered otherwise than before.

``replay`` asks both revisions what was asked before, out of a recording; ``grid`` searches everything the schema
permits for what would be answered otherwise, whether anybody asked it or not.
"""

from pdp.workbench.impact.changes import Change, Example, Group, Tally
from pdp.workbench.impact.grid import Grid, grid
from pdp.workbench.impact.replay import Recording, replay

__all__ = ["Change", "Example", "Grid", "Group", "Recording", "Tally", "grid", "replay"]
