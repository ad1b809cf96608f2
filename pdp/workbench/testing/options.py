"""Reading questions and expectations out of a table of tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from pdp.core.decision import Effect
from pdp.core.policy import PolicySnapshot
from pdp.core.reasons import Reason
from pdp.policy.fields import Fields
from pdp.policy.problems import did_you_mean
from pdp.workbench.testing.requests import OPTIONS, REFERENCES
from pdp.yaml_tree import Node, Scalar

EXPECTED: Final = ("reasons", "rules", "obligations", "step_up", "valid_for")
_REASON: Final = re.compile(r"([A-Z_]+)(?:\(([^()]+)\))?", re.ASCII)
_RULE_REASONS: Final = (Reason.PERMITTED, Reason.DENIED_BY_RULE)


class OptionReader:
    """Reads one file's questions and expectations; what is wrong is reported where it stands."""

    def __init__(self, fields: Fields, policy: PolicySnapshot) -> None:
        self._fields = fields
        self._rules = frozenset(rule.id for rule in policy.rules)
        self._obligations = policy.obligations

    def question(self, node: Node) -> dict[str, Any]:
        """Read options of a request, all of them optional."""
        return {name: self.option(name, value) for name, value in self._fields.record(node, (), OPTIONS).items()}

    def each(self, node: Node) -> dict[str, tuple[str, ...]]:
        """Read options with several values."""
        found = {}
        for name, values in self._fields.record(node, (), OPTIONS[:-1]).items():
            texts = tuple(str(self.option(name, item)) for item in self._fields.items(values))
            if not texts:
                self._fields.refuse(values, "the list is empty: the case would not be tried at all")
            found[name] = texts
        return found

    def expectation(self, node: Node) -> dict[str, Any]:
        """Read what is expected of an answer, ``effect`` and any of ``EXPECTED``."""
        given = self._fields.record(node, ("effect",), EXPECTED)
        effect = (
            self._fields.choice(given["effect"], tuple(it.value for it in Effect), "an effect") if given else None
        )
        return {"effect": effect or "deny", **self.details({name: given[name] for name in EXPECTED if name in given})}

    def details(self, given: Mapping[str, Node]) -> dict[str, Any]:
        """Read what is expected beyond the effect."""
        readers: dict[str, Callable[[Node], Any]] = {
            "reasons": self._reasons,
            "rules": lambda node: self._known(node, self._rules, "rule"),
            "obligations": lambda node: self._known(node, self._obligations, "obligation"),
            "step_up": self._step_up,
            "valid_for": self._fields.number,
        }
        return {name: readers[name](node) for name, node in given.items()}

    def option(self, name: str, node: Node) -> Any:
        """Read one option of a request."""
        if name == "supports":
            return tuple(self._fields.name(item) or "" for item in self._fields.items(node))
        if isinstance(node, Scalar) and node.value == "":
            return ""
        text = self._fields.text(node) or ""
        if text and name in REFERENCES and not all(text.partition(":")):
            self._fields.refuse(node, f"a {name} is written type:id", "such as user:alice")
        return text

    def _known(self, node: Node, names: Collection[str], what: str) -> list[str]:
        found = []
        for item in self._fields.items(node):
            text = item.text if isinstance(item, Scalar) else ""
            if text not in names:
                self._fields.refuse(item, f"the policy has no {what} {text!r}", did_you_mean(text, names))
            found.append(text)
        return found

    def _reasons(self, node: Node) -> list[str]:
        found = []
        for item in self._fields.items(node):
            text = item.text if isinstance(item, Scalar) else ""
            parts = _REASON.fullmatch(text)
            if not parts or parts[1] not in tuple(Reason):
                help_ = did_you_mean(parts[1] if parts else text, tuple(Reason))
                self._fields.refuse(item, f"{text!r} is not a reason", help_)
            elif parts[1] in _RULE_REASONS and parts[2] not in self._rules:
                help_ = did_you_mean(parts[2] or "", self._rules)
                self._fields.refuse(item, f"the policy has no rule {parts[2] or ''!r}", help_)
            found.append(text)
        if not found:
            self._fields.refuse(node, "every answer has a reason")
        return found

    def _step_up(self, node: Node) -> dict[str, Any] | None:
        if isinstance(node, Scalar) and node.text == "none":
            return None
        given = self._fields.record(node, (), ("acr_values", "max_age"))
        acrs = (
            [self._fields.text(item) for item in self._fields.items(given["acr_values"])]
            if "acr_values" in given
            else []
        )
        return {"acr_values": acrs, "max_age": self._fields.whole(given["max_age"]) if "max_age" in given else None}
