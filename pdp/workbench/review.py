"""``review.yaml`` of a policy folder: what a change must pass before it ships. No part of the revision.

::

    version: 1
    sensitive: [cardholder_data, health_note]
    thresholds: {rules: 100, sides: 95, combinations: 90, mutants: 95}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pdp.core.policy import PolicySnapshot
from pdp.policy.fields import Fields
from pdp.policy.problems import Problems, did_you_mean
from pdp.workbench.testing.documents import read_document
from pdp.yaml_tree import Node, Scalar

FILE: Final = "review.yaml"
THRESHOLDS: Final[Mapping[str, float]] = {"rules": 100.0, "sides": 95.0, "combinations": 0.0, "mutants": 95.0}
_WHOLE: Final = 100.0


@dataclass(frozen=True, slots=True)
class Review:
    """The settings.

    Attributes:
        sensitive: resource types and classes of them: what is newly allowed there must be acknowledged. None where
            nothing is said, which means all.
        thresholds: least percentages, by what they are of; see ``THRESHOLDS``.
    """

    sensitive: frozenset[str] | None = None
    thresholds: Mapping[str, float] = field(default_factory=lambda: THRESHOLDS)

    def is_sensitive(self, policy: PolicySnapshot, resource_type: str) -> bool:
        """Say whether a resource type is, or is in, a sensitive class."""
        if self.sensitive is None:
            return True
        return not self.sensitive.isdisjoint(policy.hierarchy.resources.get(resource_type, {resource_type}))


def read_review(folder: Path, policy: PolicySnapshot) -> Review:
    """Read a folder's settings; the defaults where it has none.

    Raises:
        PolicyInvalidError: with every problem found.
    """
    if not (folder / FILE).exists():
        return Review()
    problems = Problems()
    document = read_document(folder, FILE, problems)
    review = Review()
    if document:
        fields = Fields(document[0], problems)
        given = fields.document(document[1], (), ("sensitive", "thresholds"))
        sensitive = _classes(fields, given["sensitive"], policy) if "sensitive" in given else None
        review = Review(sensitive, _thresholds(fields, given["thresholds"]) if "thresholds" in given else THRESHOLDS)
    problems.raise_if_any()
    return review


def strictest(reviews: Iterable[Review]) -> Review:
    """Give what is sensitive by any of several settings, with the last one's thresholds."""
    found = tuple(reviews)
    named = [review.sensitive for review in found if review.sensitive is not None]
    sensitive = frozenset().union(*named) if len(named) == len(found) else None
    return Review(sensitive, found[-1].thresholds)


def _classes(fields: Fields, node: Node, policy: PolicySnapshot) -> frozenset[str]:
    known = frozenset().union(*(policy.hierarchy.resources[it] for it in policy.schema.resources))
    found = set()
    for item in fields.items(node):
        text = item.text if isinstance(item, Scalar) else ""
        if text not in known:
            fields.refuse(item, f"there is no resource type or class {text!r}", did_you_mean(text, known))
        found.add(text)
    return frozenset(found)


def _thresholds(fields: Fields, node: Node) -> Mapping[str, float]:
    found = dict(THRESHOLDS)
    for name, value in fields.record(node, (), tuple(THRESHOLDS)).items():
        number = fields.number(value)
        if number is not None and not 0 <= number <= _WHOLE:
            fields.refuse(value, "a percentage from 0 to 100 is expected here")
        found[name] = number or 0.0
    return found
