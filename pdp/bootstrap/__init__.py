"""The composition root: the only place that names concrete adapters.

``launch.run`` is the life of the service as a whole; ``application.build`` makes what one worker process runs.
"""

from pdp.bootstrap.application import build
from pdp.bootstrap.launch import run

__all__ = ["build", "run"]
