"""Makes pycasbin's role managers forget what requests have left in them.

A role manager keeps a role for every name it is asked about. Besides the memory, that lets a request decide later
ones: a name whose ``__eq__`` says yes to everything stays, and is found again under an honest name of the same
hash. So exact mode answers each request as an enforcer would that is asked nothing before it.
"""

from __future__ import annotations

from casbin.core_enforcer import CoreEnforcer
from casbin.rbac.default_role_manager import DomainManager, RoleManager


class RoleMemory:
    """What the role managers of an enforcer know from the policy alone."""

    def __init__(self, enforcer: CoreEnforcer) -> None:
        managers = [manager for manager in enforcer.rm_map.values() if type(manager) is RoleManager]
        self._plain = [(manager, len(manager.all_roles)) for manager in managers]
        self._domains = [
            (manager, {domain: len(_names(links)) for domain, links in manager.all_links.items()})
            for manager in enforcer.rm_map.values()
            if type(manager) is DomainManager
        ]

    def restore(self) -> None:
        """Drop every name that is not of the policy; the newest come off first, and without being compared."""
        for manager, size in self._plain:
            _shorten(manager, size)
        for manager, sizes in self._domains:
            manager.rm_map = {
                domain: found for domain, found in manager.rm_map.items() if type(domain) is str and domain in sizes
            }
            for domain, found in manager.rm_map.items():
                _shorten(found, sizes[domain])


def _names(links: list[tuple[str, str]]) -> set[str]:
    return {name for link in links for name in link}


def _shorten(manager: RoleManager, size: int) -> None:
    while len(manager.all_roles) > size:
        manager.all_roles.popitem()
