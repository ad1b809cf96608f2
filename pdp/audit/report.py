"""The access review: who accessed, or tried to access, which class of data in a period, why and with what outcome."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Emergency(NamedTuple):
    """A decision under an emergency claim, as the log has it; each is to be reviewed by itself."""

    time: str
    subject: str
    action: str
    data_class: str
    resource: str
    outcome: str
    reason: str
    decision_id: str


@dataclass(slots=True)
class Access:
    """One subject's dealings with one class of data."""

    allowed: int = 0
    denied: int = 0
    emergency: int = 0
    first: str = ""
    last: str = ""
    actions: Counter[str] = field(default_factory=Counter)
    purposes: Counter[str] = field(default_factory=Counter)
    resources: set[str] = field(default_factory=set)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count one decision."""
        if record.get("outcome") == "allow":
            self.allowed += 1
        else:
            self.denied += 1
        self.emergency += bool(record.get("emergency_reason"))
        time = str(record.get("time", ""))
        self.first = min(self.first or time, time)
        self.last = max(self.last, time)
        self.actions[str(record.get("action"))] += 1
        self.purposes[str(record.get("purpose") or "none given")] += 1
        resource = record.get("resource") or {}
        if resource.get("id"):
            self.resources.add(str(resource["id"]))


@dataclass(slots=True)
class Review:
    """What the decisions of a period add up to.

    Attributes:
        since: the begin of the period as asked for; empty for the beginning of the log.
        until: its end; empty for now.
        accesses: by class of data and subject.
        emergencies: the decisions under an emergency claim.
        reasons: why decisions were denies, by reason.
        revisions: the policy revisions that decided.
    """

    since: str
    until: str
    accesses: dict[tuple[str, str], Access] = field(default_factory=dict)
    emergencies: list[Emergency] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    revisions: Counter[str] = field(default_factory=Counter)

    @property
    def allowed(self) -> int:
        """Allows in all."""
        return sum(access.allowed for access in self.accesses.values())

    @property
    def denied(self) -> int:
        """Denies in all."""
        return sum(access.denied for access in self.accesses.values())

    @property
    def emergency(self) -> int:
        """Decisions under an emergency claim."""
        return sum(access.emergency for access in self.accesses.values())

    @property
    def subjects(self) -> int:
        """How many subjects there were."""
        return len({subject for _, subject in self.accesses})

    def classes(self) -> list[tuple[str, list[tuple[str, Access]]]]:
        """The classes of data by name, each with its subjects, those with the most accesses first."""
        found: dict[str, list[tuple[str, Access]]] = {}
        for (data_class, subject), access in self.accesses.items():
            found.setdefault(data_class, []).append((subject, access))
        for rows in found.values():
            rows.sort(key=lambda row: (-row[1].allowed, -row[1].denied, row[0]))
        return sorted(found.items())


def review(
    records: Iterable[Mapping[str, Any]], since: str, until: str, classes: Mapping[str, str] | None = None
) -> Review:
    """Add up decisions.

    Args:
        records: the period's records; those that are no decision are passed over.
        since: the begin of the period, for the title.
        until: its end, for the title.
        classes: the class of data of each resource type; a type that is not named is its own class.
    """
    result, names = Review(since, until), classes or {}
    for record in records:
        if record.get("kind") not in ("decision", "refusal"):
            continue
        kind = str((record.get("resource") or {}).get("type") or "none named")
        key = names.get(kind, kind), str(record.get("subject") or "not identified")
        access = result.accesses.get(key)
        if access is None:
            access = result.accesses[key] = Access()
        access.add(record)
        if record.get("emergency_reason"):
            result.emergencies.append(_emergency(record, *key))
        result.revisions[str(record.get("revision"))] += 1
        if record.get("outcome") != "allow":
            result.reasons.update(map(str, record.get("reasons") or ()))
    return result


def _emergency(record: Mapping[str, Any], data_class: str, subject: str) -> Emergency:
    resource = str((record.get("resource") or {}).get("id") or "")
    time, action, outcome, reason, decision_id = (
        str(record.get(name) or "") for name in ("time", "action", "outcome", "emergency_reason", "decision_id")
    )
    return Emergency(time, subject, action, data_class, resource, outcome, reason, decision_id)


def csv_rows(result: Review) -> list[list[str]]:
    """The review as rows, the first of them the column names."""
    head = [
        "data_class",
        "subject",
        "allowed",
        "denied",
        "emergency",
        "resources",
        "first",
        "last",
        "actions",
        "purposes",
    ]
    rows = [head]
    for data_class, subjects in result.classes():
        for subject, access in subjects:
            counts = [access.allowed, access.denied, access.emergency, len(access.resources)]
            words = [";".join(sorted(access.actions)), ";".join(sorted(access.purposes))]
            rows.append([data_class, subject, *map(str, counts), access.first, access.last, *words])
    return rows
