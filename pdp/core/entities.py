"""What is known of the four parties to a request, and the circumstances the enforcement point states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from pdp.core.decision import CONTEXT, DEVICE, POSITION, RESOURCE, SESSION, SUBJECT, Entity
from pdp.core.reasons import Cause, Reason
from pdp.core.record import Record, View
from pdp.core.request import Context, EntityRef, Request
from pdp.core.schema import Schema

_NOTHING: Final = View({})
_UNKNOWN: Final = {
    SUBJECT: Reason.SUBJECT_UNKNOWN,
    DEVICE: Reason.DEVICE_UNKNOWN,
    SESSION: Reason.SESSION_UNKNOWN,
    RESOURCE: Reason.RESOURCE_UNKNOWN,
}


class Entities(NamedTuple):
    """Attribute records of a request's parties, in ``Entity``'s order; None where nothing is known or none named."""

    subject: Record | None = None
    device: Record | None = None
    session: Record | None = None
    resource: Record | None = None

    def of(self, entity: Entity) -> Record | None:
        """Give one party's record; for the context, None."""
        return None if entity is CONTEXT else self[POSITION[entity]]

    def with_session(self, values: Mapping[str, object]) -> Entities:
        """Give the same with some values of a known session changed: a session as it might be."""
        if self.session is None:
            return self
        usable = {name: reason for name, reason in self.session.problems.items() if name not in values}
        until = {name: time for name, time in self.session.usable_until.items() if name not in values}
        since = {name: time for name, time in self.session.usable_from.items() if name not in values}
        view = self.session.view.replaced(values)
        return self._replace(
            session=replace(self.session, view=view, problems=usable, usable_from=since, usable_until=until)
        )


def refs(request: Request) -> tuple[tuple[Entity, EntityRef], ...]:
    """Give the references whose records a request's decision may need."""
    subject, resource = (SUBJECT, request.subject), (RESOURCE, request.resource)
    if request.device and request.session:
        device, session = EntityRef("device", request.device), EntityRef("session", request.session)
        return subject, resource, (DEVICE, device), (SESSION, session)
    if request.device:
        return subject, resource, (DEVICE, EntityRef("device", request.device))
    if request.session:
        return subject, resource, (SESSION, EntityRef("session", request.session))
    return subject, resource


def view_of(entities: Entities, entity: Entity) -> View:
    """Give a party's values; an empty view where nothing is known."""
    record = entities.of(entity)
    return record.view if record else _NOTHING


def resource_view(entities: Entities, ref: EntityRef) -> View:
    """Give the resource's values; for one not on record, its reference alone."""
    return entities.resource.view if entities.resource else View({"type": ref.type, "id": ref.id})


def context_view(context: Context, schema: Schema, now: float) -> View:
    """Make the context readable by conditions. A stated value that the schema does not know is not set."""
    declared = schema.entities[CONTEXT]
    values: dict[str, object] = {"time": int(now), "emergency": context.emergency}
    for name, value in (("purpose", context.purpose), ("channel", context.channel), ("network", context.network)):
        attribute = declared.get(name)
        if attribute is None:
            continue
        if value in attribute.values:
            values[name] = value
        elif not value and attribute.default is not None:
            values[name] = attribute.default
    return View(values)


def problem_with(entity: Entity, names: tuple[str, ...], record: Record | None, now: float) -> Cause | None:
    """Say why a party's needed attributes cannot decide, or None where they can."""
    if record is None:
        return Cause(_UNKNOWN[entity])
    for name in names:
        if reason := _problem_of(record, name, now):
            return Cause(reason, f"{entity}.{name}")
    return None


def _problem_of(record: Record, name: str, now: float) -> Reason | None:
    if name in record.problems:
        return record.problems[name]
    if now >= record.usable_until.get(name, now + 1):
        return Reason.ATTRIBUTE_STALE
    if now < record.usable_from.get(name, now):
        return Reason.ATTRIBUTE_FROM_FUTURE
    # Declared by the policy's schema but not by the one the record was read under: deny, do not guess.
    return None if name in record.view.__dict__ else Reason.ATTRIBUTE_MISSING
