"""What holds for all tests: none depends on how fast the machine is, nor on luck.

A gate that draws new examples each time fails on changes that are innocent; new examples are for
`--hypothesis-profile=explore`, which `make fuzz-engine` uses.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

ANY_SPEED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("pdp", ANY_SPEED, derandomize=True)
settings.register_profile("explore", ANY_SPEED, derandomize=False)
settings.load_profile("pdp")
