"""schema.yaml: what it says is read, and what it cannot mean is refused at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.core.decision import Entity
from pdp.core.errors import PolicyInvalidError
from pdp.core.schema import AssuranceLevel, Kind, Sensitivity
from pdp.policy import load_schema
from tests.policy.example import SCHEMA, build, refused, swap, write


def test_everything_declared_is_read() -> None:
    schema = build().schema
    assert schema.subject_types == {"user", "service"}
    assert schema.actions == {"read", "list", "export", "delete"}
    assert set(schema.resources) == {"customer", "card", "log"}
    assert (schema.clock_skew, schema.allow_lifetime, schema.deny_lifetime) == (5, 60, 5)
    assert schema.bindings == {"subject": Entity.SUBJECT, "device": Entity.DEVICE}
    assert schema.identifiers[Entity.SUBJECT] is Sensitivity.PSEUDONYM
    assert schema.identifiers[Entity.RESOURCE] is Sensitivity.CLEAR


def test_attributes_carry_type_range_age_and_sensitivity() -> None:
    schema = build().schema
    risk = schema.attributes_of(Entity.SESSION)["risk"]
    assert (risk.kind, risk.minimum, risk.maximum, risk.max_age) == (Kind.INT, 0, 100, 300)
    assert (risk.required, risk.sensitivity) == (True, Sensitivity.CLEAR)
    amr = schema.attributes_of(Entity.SESSION)["amr"]
    assert (amr.kind, amr.minimum, amr.default, amr.required) == (Kind.LIST, 1, ("pwd",), False)
    assert amr.sensitivity is Sensitivity.OMIT, "what is not said to be shown is not shown"
    assert schema.attributes_of(Entity.SUBJECT)["roles"].max_age == 86400


def test_time_and_emergency_are_always_in_the_context() -> None:
    context = build().schema.attributes_of(Entity.CONTEXT)
    assert (context["time"].kind, context["emergency"].kind) == (Kind.TIME, Kind.BOOL)


def test_step_up_levels_are_read_weakest_first() -> None:
    step_up = build().schema.step_up
    assert step_up is not None
    assert (step_up.level, step_up.times) == ("aal", ("auth_time",))
    assert step_up.levels == (AssuranceLevel(2, "urn:pdp:aal:2"), AssuranceLevel(3, "urn:pdp:aal:3"))


def test_a_schema_without_step_up_bindings_and_identifiers_is_complete() -> None:
    start, end = SCHEMA.index("step_up:"), SCHEMA.index("subject:\n")
    lines = (SCHEMA[:start] + SCHEMA[end:]).splitlines(keepends=True)
    schema = build({"schema.yaml": "".join(line for line in lines if "identifiers" not in line)}).schema
    assert schema.step_up is None
    assert not schema.bindings
    assert set(schema.identifiers.values()) == {Sensitivity.OMIT}


def test_load_schema_reads_the_one_file(tmp_path: Path) -> None:
    assert load_schema(write(tmp_path) / "schema.yaml") == build().schema


def test_load_schema_refuses_what_load_refuses(tmp_path: Path) -> None:
    folder = write(tmp_path, swap("schema.yaml", "type: bool, max_age: 15m", "type: boole"))
    with pytest.raises(PolicyInvalidError) as caught:
        load_schema(folder / "schema.yaml")
    assert [(it.file, it.line) for it in caught.value.problems] == [("schema.yaml", 18)]
    with pytest.raises(PolicyInvalidError, match="is missing"):
        load_schema(folder / "no.yaml")


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("version: 1", "version: 2", "2\nsubject_types", "version of the format"),
        ("version: 1", 'version: "1"', '"1"', "version of the format"),
        ("version: 1", "version: true", "true\n", "version of the format"),
        ("version: 1\n", "", "subject_types", "key 'version' is missing"),
        ("actions:", "action:", "action:", "unknown key 'action'"),
        ("[user, service]", "[]", "[]", "the list is empty"),
        ("[user, service]", "user", "user\nactions", "a list is expected"),
        ("[user, service]", "[user, User]", "User]", "a name is expected"),
        ("[user, service]", "[user, user]", "user]", "stands twice"),
        ("[user, service]", "[user, 7]", "7]", "a name is expected"),
        ("[user, service]", "[user, [a]]", "[a]", "a name is expected"),
        ("clock_skew: 5s", "clock_skew: 2m", "2m", "too long"),
        ("clock_skew: 5s", "clock_skew: 5", "5, allow", "a duration is expected"),
        ("clock_skew: 5s", "clock_skew: -5s", "-5s", "a duration is expected"),
        ("clock_skew: 5s", "clock_skew: 05s", "05s", "a duration is expected"),
        ("clock_skew: 5s", "clock_skew: [5s]", "[5s]", "a duration is expected"),
        ("allow_lifetime: 60s", "allow_lifetime: 2h", "2h", "too long"),
        ("subject: pseudonym,", "subject: hidden,", "hidden", "is not a sensitivity"),
        ("resource: clear}", "context: clear}", "context: clear", "unknown key 'context'"),
        ("level: aal", "level: all", "all\n  times", "not a whole number of the session"),
        ("level: aal", "level: amr", "amr\n  times", "not a whole number of the session"),
        ("times: [auth_time]", "times: [risk]", "risk]", "not a time of the session"),
        ("{level: 2, acr", "{level: 3, acr", '3, acr: "urn:pdp:aal:3"', "do not rise"),
        ("{level: 3, acr", "{level: 4, acr", "4, acr", "outside the range of session.aal"),
        ("{level: 3, acr", "{level: 2, acr", '2, acr: "urn:pdp:aal:3"', "do not rise"),
        ('{level: 3, acr: "urn:pdp:aal:3"}', "{level: 3}", "{level: 3}", "key 'acr' is missing"),
        ('"urn:pdp:aal:3"', '"urn pdp"', '"urn pdp"', "a name is expected"),
        ("bindings: {subject: subject", "bindings: {owner: subject", "owner", "not a required string"),
        ("bindings: {subject: subject", "bindings: {risk: subject", "risk: subject", "not a required string"),
        ("device: device}", "device: phone}", "phone}", "is not the subject or the device"),
        ("roles: {type: list", "rolls: {type: list", "rolls", "a subject's roles must be declared"),
        ("values: [agent, supervisor, auditor], ", "", "roles: {", "a subject's roles must be declared"),
        ("[agent, supervisor, auditor]", "[Agent, supervisor, auditor]", "roles: {", "'Agent' is not a role's name"),
        ("compliant: {type: bool", "compliant: {type: boole", "boole", "is not a type"),
        ("compliant: {type: bool, max_age: 15m, sensitivity: clear}", "compliant: {}", "{}\n  score", "key 'type'"),
        ("compliant: {type: bool, max_age: 15m, sensitivity: clear}", "compliant: bool", "bool\n", "a mapping is"),
        ("compliant:", "Compliant:", "Compliant", "is not a name"),
        ("compliant:", "id:", "id: {type", "meaning of its own"),
        ("compliant:", "class:", "class", "meaning of its own"),
        ("compliant:", "replaced:", "replaced", "meaning of its own"),
        ("compliant:", "func_x:", "func_x", "meaning of its own"),
        ("compliant:", "mro:", "mro", "meaning of its own"),
        ("type: bool, max_age", "type: bool, values: [a], max_age", "[a]", "no meaning for a bool"),
        ("type: bool, max_age", "type: bool, minimum: 1, max_age", "1, max_age", "no meaning for a bool"),
        ("type: bool, max_age", "type: bool, default: true, max_age", "true, max_age", "needs no default"),
        ("type: bool, max_age", "type: bool, required: false, max_age", "compliant", "has no default"),
        ("type: bool, max_age", "type: bool, required: no, max_age", "no, max_age", "true or false is expected"),
        ("type: bool, max_age", "type: bool, max_agee: 1s, max_age", "max_agee", "unknown key 'max_agee'"),
        ("risk: {type: int, minimum: 0", "risk: {type: int, minimum: 0.5", "0.5", "a whole number is expected"),
        ("risk: {type: int, minimum: 0", "risk: {type: int, minimum: 101", "risk:", "above its maximum"),
        ("risk: {type: int, minimum: 0", "risk: {type: int, minimum: .nan", ".nan", "a whole number is expected"),
        ("score: {type: number, minimum: 0", "score: {type: number, minimum: .inf", ".inf", "a number is expected"),
        ("score: {type: number, minimum: 0", "score: {type: number, minimum: true", "true", "a number is expected"),
        ("max_age: 5m", "max_age: 0s", "0s, sens", "can never decide"),
        ("min_items: 1", "min_items: 4", "amr:", "no list has min_items 4"),
        ("min_items: 1", "min_items: -1", "amr:", "no list has min_items -1"),
        ("default: [pwd]", "default: [pin]", "[pin]", "not a value that 'amr' can take"),
        ("default: [pwd]", "default: []", "[]", "not a value that 'amr' can take"),
        ("default: [pwd]", "default: [pwd, pwd]", "[pwd, pwd]", "not a value that 'amr' can take"),
        ("default: [pwd]", "default: pwd", "pwd}", "not a value that 'amr' can take"),
        ("default: chat", "default: fax", "fax", "not a value that 'channel' can take"),
        (
            "[billing, support]}\n  channel",
            "[billing, Support]}\n  channel",
            "purpose:",
            "no request can state 'Support'",
        ),
        ("purpose: {type: string, values: [billing, support]}", "purpose: {type: string}", "purpose:", "string with"),
        ("purpose: {type: string", "purpose: {max_age: 5m, type: string", "purpose:", "has no age"),
        ("channel:", "chanel:", "chanel:", "context has no 'chanel'"),
        ("channel:", "time:", "time: {type: string", "meaning of its own"),
        ("log: {}", "Log: {}", "Log", "is not a name"),
        ("log: {}", "log: null", "null", "a mapping is expected"),
    ],
)
def test_is_refused(old: str, new: str, needle: str, problem: str) -> None:
    refused("schema.yaml", old, new, needle, problem)
