"""What people do by command, put on record: what they read of the log, and what they write into the attribute store.

Each kind of command has a tree of its own in the log, beside those of the service's workers, and holds it only while
it runs. A record is on disk before the command goes on.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from pdp.audit.errors import AuditError, AuditUnavailable
from pdp.audit.keys import load_keys
from pdp.audit.log import DecisionLog
from pdp.audit.records import Record
from pdp.audit.settings import Durability, LogSettings
from pdp.core.decision import Entity
from pdp.core.errors import PdpError
from pdp.core.request import EntityRef

READER: Final = "reader"
OPERATOR: Final = "operator"
ATTRIBUTE_WRITE: Final = "attribute_write"
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.05
_HELD: Final = "closed"

Put = Callable[..., None]
"""Puts records on record; they are on disk when it returns."""


class UnrecordableError(AuditError):
    """What was to be done cannot be put on record, so it must not be done; the message says why."""


@contextmanager
def recording(settings: LogSettings, tree: str) -> Iterator[Put]:
    """Hold a tree of the log for a command, and give what puts records into it.

    Args:
        settings: the log's directory, keys, and how identifiers are to appear.
        tree: the tree; another command that holds it is waited for, for five seconds at most.

    Raises:
        UnrecordableError: nothing can be put on record, or what was given was not.
    """
    log = _opened(replace(settings, worker=tree, durability=Durability.FSYNC))

    def put(*records: Record) -> None:
        try:
            log.append_many(records)
        except AuditUnavailable as error:
            raise UnrecordableError(str(error)) from None

    try:
        yield put
    finally:
        log.close()


def put_reading_on_record(settings: LogSettings, action: str, asked: Mapping[str, Any]) -> None:
    """Note that somebody is about to be shown what others did.

    Args:
        settings: as for ``recording``.
        action: the command, such as ``search``.
        asked: what it was given; what is empty is left out.

    Raises:
        UnrecordableError: nothing may be shown.
    """
    query = {name: value for name, value in asked.items() if value}
    with recording(settings, READER) as put:
        put({"kind": "audit_read", "action": action, "reader": getpass.getuser(), "query": query})


def write_facts(entity: Entity, ref: EntityRef, by: str, **facts: object) -> dict[str, object]:
    """Say of a write into the attribute store what its record of kind ``ATTRIBUTE_WRITE`` says.

    Args:
        entity: whose attributes.
        ref: the same.
        by: who wrote: a SPIFFE id, an issuer, or ``local:<user>`` for a person at this machine.
        facts: what was done: the action, the names of the attributes, the version; never a value.
    """
    shown: object = {"type": ref.type, "id": ref.id} if entity is Entity.RESOURCE else str(ref)
    if entity in (Entity.DEVICE, Entity.SESSION):
        shown = ref.id
    return {"caller": by, entity.value: shown, **facts}


def _opened(settings: LogSettings) -> DecisionLog:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return DecisionLog(settings, load_keys(settings.keys))
        except AuditUnavailable as error:
            if error.reason != _HELD or time.monotonic() > deadline:
                raise UnrecordableError(str(error)) from None
            time.sleep(_PAUSE)
        except PdpError as error:
            raise UnrecordableError(str(error)) from None
