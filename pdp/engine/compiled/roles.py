"""Role hierarchies as closures, with the reach of pycasbin's default role managers: ten levels, nine links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pdp.engine.compiled.pacing import Checkpoint, no_pause, paced

MAX_LINKS: Final = 9


class Roles:
    """Which names a name inherits, along at most nine links; each name inherits itself.

    Reached sets are worked out when first asked for and kept for names the policy knows, so that a stream of
    unknown names takes no memory.
    """

    __slots__ = ("_links", "_reached")

    def __init__(self, links: Iterable[tuple[str, str]]) -> None:
        direct: dict[str, list[str]] = {}
        for name, role in links:
            direct.setdefault(name, []).append(role)
        self._links = direct
        self._reached: dict[str, frozenset[str]] = {}

    def reach(self, name: str, _domain: str = "") -> frozenset[str]:
        """The name itself and every name it inherits; there is one hierarchy for all domains."""
        reached = self._reached.get(name)
        if reached is None:
            if name not in self._links:
                return frozenset((name,))
            reached = self._reached[name] = frozenset(self._walk(name, MAX_LINKS))
        return reached

    def _walk(self, name: str, limit: int) -> set[str]:
        seen = {name}
        level = [name]
        for _ in range(limit):
            level = [role for start in level for role in self._links.get(start, ()) if role not in seen]
            if not level:
                break
            seen.update(level)
        return seen

    def has_link(self, name: str, role: str) -> bool:
        """Whether ``name`` is ``role`` or inherits it."""
        return role in self.reach(name)

    def names(self) -> set[str]:
        """Every name on either end of a link."""
        return self._links.keys() | {role for roles in self._links.values() for role in roles}

    def truncated(self, checkpoint: Checkpoint = no_pause) -> list[str]:
        """Names with a role that only a chain of more than nine links reaches, sorted."""
        names = paced(self._links, checkpoint)
        return sorted(name for name in names if len(self._walk(name, MAX_LINKS + 1)) > len(self.reach(name)))


class DomainRoles:
    """A role hierarchy per domain (``g = _, _, _``)."""

    __slots__ = ("domains",)
    _NONE: Final = Roles(())

    def __init__(self, links: Iterable[tuple[str, str, str]]) -> None:
        split: dict[str, list[tuple[str, str]]] = {}
        for name, role, domain in links:
            split.setdefault(domain, []).append((name, role))
        self.domains = {domain: Roles(pairs) for domain, pairs in split.items()}

    def reach(self, name: str, domain: str) -> frozenset[str]:
        """The name itself and every name it inherits in the domain."""
        return self.domains.get(domain, self._NONE).reach(name)

    def has_link(self, name: str, role: str, domain: str) -> bool:
        """Whether ``name`` is ``role`` or inherits it in the domain."""
        return role in self.reach(name, domain)

    def truncated(self, checkpoint: Checkpoint = no_pause) -> list[str]:
        """Names with a role that only a chain of more than nine links reaches, over all domains, sorted."""
        return sorted({name for roles in self.domains.values() for name in roles.truncated(checkpoint)})
