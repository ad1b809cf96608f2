"""Records in the forms that other systems take: JSON lines, CSV, and OCSF events.

OCSF (Open Cybersecurity Schema Framework 1.6): decisions, refusals, attribute writes and reads of the log are API
Activity (6003); an allow under an emergency claim is Authorize Session (3003); start, stop, reload and configuration
are Application Lifecycle (6002). What has no place in a class is under `unmapped`.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pdp.audit.searchindex import micros

OCSF_VERSION = "1.6.0"
COLUMNS = (
    *("time", "worker", "seq", "kind", "decision_id", "outcome", "reasons", "caller", "subject", "action"),
    *("resource_type", "resource_id", "purpose", "session", "device", "rules", "obligations", "revision", "trace_id"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CATEGORY = {
    6002: (6, "Application Activity"),
    6003: (6, "Application Activity"),
    3003: (3, "Identity & Access Management"),
}
_CLASS = {6002: "Application Lifecycle", 6003: "API Activity", 3003: "Authorize Session"}
_LIFECYCLE = {"start": (3, "Start"), "stop": (4, "Stop"), "reload": (8, "Update"), "configuration": (8, "Update")}
_ACTIVITIES = {
    "create": (1, "Create"),
    "read": (2, "Read"),
    "view": (2, "Read"),
    "list": (2, "Read"),
    "search": (2, "Read"),
    "update": (3, "Update"),
    "write": (3, "Update"),
    "delete": (4, "Delete"),
}
_MAPPED = {"time", "kind", "decision_id", "caller", "subject", "action", "resource", "session", "device", "outcome"}


def csv_lines(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """CSV (RFC 4180) with a header; lists are joined by `;`, and no cell can be taken for a formula."""
    yield _csv_line(COLUMNS)
    for record in records:
        resource = record.get("resource") or {}
        flat = {**record, "resource_type": resource.get("type"), "resource_id": resource.get("id")}
        yield _csv_line([_cell(flat.get(name)) for name in COLUMNS])


def _csv_line(cells: Iterable[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = ";".join(map(str, value)) if isinstance(value, list) else str(value)
    return "'" + text if text.startswith(_FORMULA) else text


def ocsf_event(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as an OCSF event."""
    class_uid, (activity_id, activity) = _classify(record)
    denied = record.get("outcome") == "deny"
    event: dict[str, Any] = {
        "class_uid": class_uid,
        "class_name": _CLASS[class_uid],
        "category_uid": _CATEGORY[class_uid][0],
        "category_name": _CATEGORY[class_uid][1],
        "activity_id": activity_id,
        "activity_name": activity,
        "type_uid": class_uid * 100 + activity_id,
        "type_name": f"{_CLASS[class_uid]}: {activity}",
        "time": micros(str(record.get("time", ""))) // 1000,
        "severity_id": 2 if denied else 1,
        "severity": "Low" if denied else "Informational",
        "status_id": 2 if denied else 1,
        "status": "Failure" if denied else "Success",
        "metadata": _metadata(record),
        "unmapped": {name: value for name, value in record.items() if name not in _MAPPED and value is not None},
    }
    if record.get("reasons"):
        event["status_detail"] = "; ".join(map(str, record["reasons"]))
    return event | (_application(record) if class_uid == 6002 else _access(record, class_uid))  # noqa: PLR2004


def ocsf_lines(records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One OCSF event a line."""
    for record in records:
        yield json.dumps(ocsf_event(record), separators=(",", ":"), ensure_ascii=False) + "\n"


def _classify(record: Mapping[str, Any]) -> tuple[int, tuple[int, str]]:
    kind = str(record.get("kind"))
    if kind in _LIFECYCLE:
        return 6002, _LIFECYCLE[kind]
    if record.get("emergency_reason") and record.get("outcome") == "allow":
        return 3003, (1, "Assign Privileges")
    if kind == "attribute_write":
        return 6003, _ACTIVITIES["update"]
    if kind == "audit_read":
        return 6003, _ACTIVITIES["read"]
    return 6003, _ACTIVITIES.get(str(record.get("action")).lower(), (99, str(record.get("action"))))


def _metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        "version": OCSF_VERSION,
        "product": {"name": "pdp", "vendor_name": "pdp", "feature": {"name": "decision log"}},
        "profiles": ["security_control"],
        "original_time": record.get("time"),
        "sequence": record.get("seq"),
        "log_name": record.get("worker"),
        "uid": record.get("decision_id"),
        "correlation_uid": record.get("trace_id"),
    }
    return {name: value for name, value in metadata.items() if value is not None}


def _application(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"app": {"name": "pdp", "vendor_name": "pdp", "version": str(record.get("version") or "")}}


def _access(record: Mapping[str, Any], class_uid: int) -> dict[str, Any]:
    denied = record.get("outcome") == "deny"
    resource = record.get("resource") or {}
    user = {"uid": str(record.get("subject") or record.get("reader") or "unknown"), "type_id": 0}
    session = {"uid": str(record["session"])} if record.get("session") else None
    actor = {"user": user} | ({"session": session} if session else {})
    event: dict[str, Any] = {
        "actor": actor,
        "action_id": 2 if denied else 1,
        "action": "Denied" if denied else "Allowed",
        "disposition_id": 2 if denied else 1,
        "disposition": "Blocked" if denied else "Allowed",
        "src_endpoint": {"uid": str(record.get("device") or "unknown")},
    }
    if class_uid == 3003:  # noqa: PLR2004  Authorize Session
        return (
            event
            | {"user": user, "privileges": [str(record.get("action"))]}
            | ({"session": session} if session else {})
        )
    service = {"name": str(record.get("caller") or "unknown")}
    request = {"uid": str(record.get("decision_id") or "")}
    event["api"] = {"operation": str(record.get("action") or "unknown"), "service": service, "request": request}
    event["resources"] = [{"uid": str(resource.get("id") or ""), "type": str(resource.get("type") or "")}]
    rules = [{"decision": record.get("outcome"), "policy": {"uid": str(rule)}} for rule in record.get("rules") or ()]
    return event | ({"authorizations": rules} if rules else {})
