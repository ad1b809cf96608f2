"""What is known of a request's parties, as values of a space's variables."""

from __future__ import annotations

from collections.abc import Mapping

from pdp.core.decision import Entity
from pdp.core.entities import Entities, context_view, refs, resource_view, view_of
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Request
from pdp.core.schema import Sensitivity, Value
from pdp.workbench.logic.formula import State
from pdp.workbench.logic.reading import NOW, Declarations, Path
from pdp.workbench.logic.space import Space, Variable

Known = Mapping[Path, Value]


def known_values(request: Request, entities: Entities, policy: PolicySnapshot, now: float) -> dict[Path, Value]:
    """Give every usable value, by its path; what is missing, malformed or stale is left out.

    Args:
        request: names the parties and states the context.
        entities: their records.
        policy: its schema says which values are usable.
        now: seconds since the epoch.
    """
    views = {entity: view_of(entities, entity) for entity in Entity}
    views[Entity.RESOURCE] = resource_view(entities, request.resource)
    views[Entity.CONTEXT] = context_view(request.context, policy.schema, now)
    found = {(entity, name): value for entity, view in views.items() for name, value in view.__dict__.items()}
    found |= {(entity, "id"): ref.id for entity, ref in refs(request)}
    found |= {(entity, "type"): ref.type for entity, ref in refs(request)}
    for entity, record in ((it, entities.of(it)) for it in Entity):
        if record is not None:
            stale = [name for name, until in record.usable_until.items() if now >= until]
            early = [name for name, start in record.usable_from.items() if now < start]
            for name in (*stale, *early):
                found.pop((entity, name), None)
    return found


def pin(state: State, variable: Variable, value: Value) -> None:
    """Settle a variable, in place."""
    if isinstance(value, tuple):
        mask = 0
        for item in value:
            mask |= variable.bit(item)
        state[variable.slot] = state[variable.may] = mask
    else:
        state[variable.slot] = variable.bit(value)


def pinned(space: Space, known: Known) -> State:
    """Give the initial state with all that is known settled; each value must be one the space tells apart."""
    state = space.initial.copy()
    for path, value in known.items():
        variable = space.variables.get(space.declarations.canonical(path))
        if variable is not None and path != NOW:
            pin(state, variable, value)
    return state


def sensitivity_of(policy: PolicySnapshot, resource_type: str, path: Path) -> Sensitivity:
    """Say how an attribute's value may be shown."""
    if path[1] == "id" and path[0] is not Entity.CONTEXT:
        return policy.schema.identifiers.get(path[0], Sensitivity.OMIT)
    if path[1] == "type" and path[0] is not Entity.CONTEXT:
        return Sensitivity.CLEAR
    return Declarations(policy.schema, resource_type).attribute(path).sensitivity
