"""A state made into a request and attribute records that the service itself can be asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pdp.core.decision import Entity
from pdp.core.entities import Entities
from pdp.core.record import Record, View
from pdp.core.request import Context, EntityRef, Request
from pdp.core.schema import Attribute, Kind, Schema, Value
from pdp.workbench.logic.candidates import bounds
from pdp.workbench.logic.formula import State
from pdp.workbench.logic.reading import Path
from pdp.workbench.logic.space import Space, Variable

_EMERGENCY_REASON = "counterexample"


@dataclass(frozen=True)
class Witness:
    """A request, and everything that is known about its parties.

    Attributes:
        request: the question.
        entities: sound records with every attribute that the schema declares.
        now: the time of the question, in whole seconds since the epoch.
        values: the values of the attributes that mattered, by path.
    """

    request: Request
    entities: Entities
    now: int
    values: Mapping[Path, Value]


def make_witness(space: Space, state: State, action: str, supported: frozenset[str]) -> Witness:
    """Choose one of the possibilities that a state leaves.

    Args:
        space: what the state is about.
        state: narrowed so that any choice will do.
        action: the request's action.
        supported: obligation types that the enforcement point carries out.
    """
    chosen = {path: choose(variable, state, space) for path, variable in space.variables.items()}
    maker = _Maker(space.declarations.schema, space.declarations.resource_type, chosen, space.now)
    ids = {entity: maker.ref(entity) for entity in Entity if entity is not Entity.CONTEXT}
    request = Request(
        subject=ids[Entity.SUBJECT],
        action=action,
        resource=ids[Entity.RESOURCE],
        context=maker.context(supported),
        session=ids[Entity.SESSION].id,
        device=ids[Entity.DEVICE].id,
    )
    entities = Entities(**{entity.value: maker.record(entity, ref) for entity, ref in ids.items()})
    return Witness(request, entities, space.now, chosen)


def choose(variable: Variable, state: State, space: Space) -> Value:
    """Give one of the values that a state leaves to a variable; for a list, as few items as the schema permits."""
    if not variable.is_list:
        return variable.values(state[variable.slot])[0]
    items = list(variable.values(state[variable.slot]))
    least = next((least for slot, least in space.floors if slot == variable.may), 0)
    spare = (item for item in variable.values(state[variable.may]) if item not in items)
    while len(items) < least:
        items.append(next(spare))
    return tuple(map(str, items))


class _Maker:
    def __init__(self, schema: Schema, resource_type: str, chosen: Mapping[Path, Value], now: int) -> None:
        self._schema = schema
        self._resource_type = resource_type
        self._chosen = chosen
        self._now = now

    def ref(self, entity: Entity) -> EntityRef:
        types = {
            Entity.SUBJECT: min(self._schema.subject_types),
            Entity.RESOURCE: self._resource_type,
        }
        kind = self._chosen.get((entity, "type"), types.get(entity, entity.value))
        return EntityRef(str(kind), str(self._chosen.get((entity, "id"), f"{entity.value}-1")))

    def context(self, supported: frozenset[str]) -> Context:
        stated = {}
        for name, attribute in self._schema.attributes_of(Entity.CONTEXT).items():
            if attribute.kind is Kind.STRING:
                stated[name] = str(self._value((Entity.CONTEXT, name), attribute))
        emergency = self._chosen.get((Entity.CONTEXT, "emergency")) is True
        reason = _EMERGENCY_REASON if emergency else ""
        return Context(**stated, emergency=emergency, emergency_reason=reason, supported_obligations=supported)

    def record(self, entity: Entity, ref: EntityRef) -> Record:
        declared = self._schema.attributes_of(entity, self._resource_type)
        values = {name: self._value((entity, name), attribute) for name, attribute in declared.items()}
        if entity is Entity.SESSION:
            values |= {name: self.ref(owner).id for name, owner in self._schema.bindings.items()}
        view = View({**values, "type": ref.type, "id": ref.id})
        return Record(ref, 1, float(self._now), view, {}, {}, {})

    def _value(self, path: Path, attribute: Attribute) -> Value:
        chosen = self._chosen.get(path)
        return _plain(attribute, self._now) if chosen is None else chosen


def _plain(attribute: Attribute, now: int) -> Value:
    """Give some value that an attribute nobody reads can take."""
    if attribute.default is not None:
        return attribute.default
    match attribute.kind:
        case Kind.BOOL:
            return False
        case Kind.TIME:
            return now
        case Kind.STRING:
            return min(attribute.values, default="any")
        case Kind.LIST:
            some = sorted(attribute.values) or [f"item-{number}" for number in range(int(attribute.minimum or 0))]
            return tuple(some[: int(attribute.minimum or 0)])
    low, high = bounds(attribute)
    number = min(max(0, low), high)
    return int(number) if attribute.kind is Kind.INT else number
