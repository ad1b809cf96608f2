"""What a subject usually does: a normal distribution of its own, for each feature.

All that a model knows is the samples it learned from, the highest counts of past periods. They are kept in the
store, so a model is the same in any worker and after any restart, and nothing that could run code is ever read back.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

from pdp.core.limits import Limits, Usual
from pdp.ports import Tally


def usual(limits: Limits, tally: Tally) -> dict[str, Usual]:
    """Compare counts with what is usual, for each feature that asks for it and has samples enough."""
    found: dict[str, Usual] = {}
    for feature in limits.features:
        samples, value = tally.samples[feature.name], tally.values[feature.name]
        if feature.usual is not None and len(samples) >= max(2, limits.baseline.grace) and value >= feature.least:
            found[feature.name] = _compared(value, samples)
    return found


def _compared(value: int, samples: Sequence[int]) -> Usual:
    model = NormalDist.from_samples(samples)
    if value <= model.mean:
        score = 0.0
    elif model.stdev:
        score = 2 * abs(model.cdf(value) - 0.5)
    else:  # the same in every period, until now
        score = 1.0
    return Usual(model.mean, model.stdev, len(samples), score)
