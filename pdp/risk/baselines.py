"""What a subject usually does, by an online model: river's ``GaussianScorer``, one for each subject and feature.

All that a model knows is the samples it learned from, the highest counts of past periods. They are kept in the
store, so a model is restored by learning them again, in any worker and after any restart, and nothing that could
run code is ever read back.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from pdp.core.limits import Baseline, Limits, Usual
from pdp.core.request import EntityRef
from pdp.ports import Tally

_LIBRARY: Final = "river.anomaly"
_log: Final = logging.getLogger(__name__)


class Baselines:
    """Models of the subjects seen last.

    Args:
        most: how many subjects' models are held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._library: Any = None
        self._tried = False
        self._models: OrderedDict[tuple[EntityRef, str], tuple[tuple[int, ...], Any]] = OrderedDict()

    async def load(self) -> bool:
        """Import the library, once, on a thread since it takes a second; false, and a line in the log, without it."""
        if not self._tried:
            self._tried = True
            try:
                self._library = await asyncio.to_thread(importlib.import_module, _LIBRARY)
            except ImportError:
                _log.error(
                    "limits.yaml asks what is usual, and river is not installed (pdp[risk]): only limits hold",
                    extra={"event": "risk.baseline_unavailable"},
                )
        return self._library is not None

    def __len__(self) -> int:
        return len(self._models)

    def usual(self, limits: Limits, tally: Tally) -> dict[str, Usual]:
        """Compare counts with what is usual, for each feature that asks for it and has samples enough."""
        found: dict[str, Usual] = {}
        if self._library is None:
            return found
        for feature in limits.features:
            samples, value = tally.samples[feature.name], tally.values[feature.name]
            if feature.usual is None or len(samples) < limits.baseline.grace or value < feature.least:
                continue
            model = self._model((tally.subject, feature.name), samples, limits.baseline)
            gaussian = model.gaussian
            score = float(model.score_one(None, value)) if value > gaussian.mu else 0.0
            found[feature.name] = Usual(float(gaussian.mu), float(gaussian.sigma), len(samples), score)
        return found

    def _model(self, key: tuple[EntityRef, str], samples: Sequence[int], baseline: Baseline) -> Any:
        learned = tuple(samples)
        known = self._models.pop(key, None)
        if known is None or known[0] != learned:
            model = self._library.GaussianScorer(grace_period=baseline.grace)
            for sample in learned:
                model.learn_one(None, sample)
            known = (learned, model)
        self._models[key] = known
        while len(self._models) > self._most:
            self._models.popitem(last=False)
        return known[1]
