"""A change in words: each kind of edit is named, and what only moved is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdp.workbench.diff import other_changes, rule_changes
from pdp.workbench.diff.conditions import condition_changes
from tests.workbench_testing.small import OBLIGATIONS, RULES, SCHEMA, loaded, write


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("True", "True", []),
        ("True", "r.session.aal < 2", ["now also requires `r.session.aal < 2`"]),
        ("r.session.aal < 2 && r.a.b", "r.a.b", ["no longer requires `r.session.aal < 2`"]),
        ("r.session.aal < 2", "r.session.aal < 3", ["`r.session.aal <` 2 -> 3"]),
        ("r.session.aal < 2", "r.session.aal >= 2", ["requires `r.session.aal >= 2` instead of `r.session.aal < 2`"]),
        (
            "r.context.time - r.resource.made_at <= 1209600",
            "r.context.time - r.resource.made_at <= 604800",
            ["`r.context.time - r.resource.made_at <=` 1209600 -> 604800 (14 days -> 7 days)"],
        ),
        (
            "r.context.purpose in ('billing', 'support')",
            "r.context.purpose == 'audit'",
            ["`r.context.purpose`: no longer for 'billing', 'support' and now also for 'audit'"],
        ),
        ("r.resource.a == r.subject.a && r.device.x", "r.device.x && r.resource.a == r.subject.a", []),
    ],
)
def test_conditions_in_words(old: str, new: str, words: list[str]) -> None:
    old, new = (text.replace("r.a.b", "r.device.compliant") for text in (old, new))
    assert list(condition_changes(old, new)) == words


@pytest.mark.parametrize(
    ("was", "now", "kind", "words"),
    [
        (
            "p,note-mfa,*,*,health_note,r.session.aal < 2,deny,,HIPAA\n",
            "",
            "removed",
            "denies everybody any action on",
        ),
        ("g,lead", "p,more,lead,read,invoice,True,allow,,x\ng,lead", "added", "allows lead read on invoice"),
        ("allow,mask,Billing", "deny,mask,Billing", "changed", "allow -> deny"),
        ("mask;watermark", "watermark", "changed", "no longer obliges mask"),
        ("allow,,Care", "allow,watermark,Care", "changed", "now also obliges watermark"),
        ("invoice-read,clerk", "invoice-read,lead", "changed", "role clerk -> lead"),
        (",HIPAA", ",Law", "changed", "basis: 'HIPAA' -> 'Law'"),
        ("r.session.aal < 2", "(r.session.aal  <  2)", "changed", "is written differently"),
    ],
)
def test_a_rule_in_words(tmp_path: Path, was: str, now: str, kind: str, words: str) -> None:
    assert was in RULES
    old = loaded(write(tmp_path / "old"))
    (found,) = rule_changes(old, loaded(write(tmp_path / "new", rules=RULES.replace(was, now))))
    assert found.kind == kind
    assert words in found.words[0]


def test_a_rule_that_only_moved_did_not_change(tmp_path: Path) -> None:
    old = loaded(write(tmp_path / "old"))
    assert rule_changes(old, loaded(write(tmp_path / "new", rules="# A comment.\n\n" + RULES))) == ()
    assert other_changes(old, old) == ()


def test_what_changed_beside_the_rules(tmp_path: Path) -> None:
    old = loaded(write(tmp_path / "old"))
    schema = SCHEMA.replace("maximum: 3", "maximum: 4").replace("actions: [read", "actions: [list, read")
    schema = schema.replace("  team: {type: string, sensitivity: clear}\ndevice", "  team: {type: string}\ndevice")
    new = write(
        tmp_path / "new",
        schema=schema.replace("allow_lifetime: 60s", "allow_lifetime: 30s"),
        rules=RULES.replace("g,lead,clerk\n", ""),
        obligations=OBLIGATIONS.replace("{type: watermark}", "{type: watermark, properties: {text: id}}"),
    )
    found = other_changes(old, loaded(new))
    assert set(found) == {
        "roles: lead no longer inherits clerk",
        "actions: list now is in list",
        "obligation watermark: properties {} -> {text: id}",
        "schema: actions with list",
        "schema: subject.team: sensitivity clear -> omit",
        "schema: session.aal: maximum 3 -> 4",
        "schema: allow_lifetime 60.0 -> 30.0",
    } - {"actions: list now is in list"}
