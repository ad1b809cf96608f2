"""The composition root: the only place that names concrete adapters.

``launch.run`` is the life of the service as a whole; ``application.build`` makes what one worker process runs.
Neither is imported here, for neither's process needs what the other's does.
"""
