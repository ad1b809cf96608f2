"""``pdp check``: ask a running service one question and print the answer."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from pdp.client import Question, ask
from pdp.core.errors import PdpError

DENIED: Final = 3

# What a PEP at a terminal can do with a decision is show it; it declares every type so that the answer is complete.
_EVERY_OBLIGATION: Final = ("mask", "watermark", "notify", "filter", "review")


class _MalformedReferenceError(PdpError):
    """A reference that is not ``type:id``."""


def check(
    subject: Annotated[str, typer.Option(help="Who asks, as type:id.", show_default=False)],
    action: Annotated[str, typer.Option(help="What is to be done.", show_default=False)],
    resource: Annotated[str, typer.Option(help="To what, as type:id.", show_default=False)],
    session: Annotated[str, typer.Option(help="The session's id.")] = "",
    device: Annotated[str, typer.Option(help="The device's id.")] = "",
    purpose: Annotated[str, typer.Option(help="Why the data is needed.")] = "",
    channel: Annotated[str, typer.Option(help="Over which channel the work is done.")] = "",
    network: Annotated[str, typer.Option(help="From which kind of network.")] = "",
    emergency: Annotated[str, typer.Option(help="Claim emergency access, with this reason.")] = "",
    supports: Annotated[list[str] | None, typer.Option(help="An obligation type the caller can carry out.")] = None,
    address: Annotated[str, typer.Option(envvar="PDP_ADDRESS", help="host:port of the service.")] = "127.0.0.1:50051",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 5.0,
    explain: Annotated[bool, typer.Option("--explain", help="Show every rule considered.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Ask a running service for a decision. Exits 0 on allow, 3 on deny, 1 where there is no answer."""
    question = Question(
        subject=_reference("--subject", subject),
        action=action,
        resource=_reference("--resource", resource),
        session=session,
        device=device,
        purpose=purpose,
        channel=channel,
        network=network,
        emergency_reason=emergency,
        supported_obligations=tuple(supports if supports is not None else _EVERY_OBLIGATION),
    )
    answer = ask(address, question, timeout=timeout, explain=explain)
    if as_json:
        Console().print_json(data=answer)
    else:
        _show(answer)
    sys.exit(0 if answer["decision"]["effect"] == "EFFECT_ALLOW" else DENIED)


def _reference(flag: str, text: str) -> tuple[str, str]:
    kind, colon, identifier = text.partition(":")
    if not (kind and colon and identifier):
        raise _MalformedReferenceError(f"{flag} {text!r} is not of the form type:id, such as user:alice")
    return kind, identifier


def _show(answer: dict[str, Any]) -> None:
    decision = answer["decision"]
    console = Console()
    allowed = decision["effect"] == "EFFECT_ALLOW"
    console.print("[bold green]ALLOW[/]" if allowed else "[bold red]DENY[/]", _causes(decision))
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(decision):
        facts.add_row(f"[dim]{name}[/]", value)
    console.print(facts)
    for rule in answer.get("rules", ()):
        _show_rule(console, rule)


def _causes(decision: dict[str, Any]) -> str:
    reasons = decision.get("reasons", ())
    return ", ".join(f"{it['code']}" + (f" [dim]({it['about']})[/]" if it.get("about") else "") for it in reasons)


def _facts(decision: dict[str, Any]) -> list[tuple[str, str]]:
    facts = [("rules", ", ".join(decision.get("rule_ids", ())) or "none")]
    facts += [
        ("must" if it.get("mandatory") else "should", _obligation(it)) for it in decision.get("obligations", ())
    ]
    if step_up := decision.get("step_up"):
        level = " or ".join(step_up.get("acr_values", ())) or "the present level"
        age = f", at most {step_up['max_age']} old" if "max_age" in step_up else ""
        facts.append(("step up to", level + age))
    facts.append(("valid for", _lifetime(decision)))
    uses = decision.get("attribute_uses", ())
    facts.append(
        ("attributes", ", ".join(f"{_entity(it)} v{it['version']} ({_age(it)} old)" for it in uses) or "none")
    )
    facts.append(("revision", decision.get("policy_revision", "") or "none"))
    facts.append(("decision", decision["decision_id"]))
    facts.append(("trace", decision.get("trace_id", "")))
    return facts


def _obligation(obligation: dict[str, Any]) -> str:
    properties = ", ".join(f"{name}={value}" for name, value in sorted(obligation.get("properties", {}).items()))
    return f"{obligation['type']} [dim]({obligation['id']})[/] {properties}"


def _lifetime(decision: dict[str, Any]) -> str:
    seconds = (_time(decision["valid_until"]) - _time(decision["decided_at"])).total_seconds()
    return f"{seconds:.0f} s" if seconds > 0 else "this request only"


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _entity(use: dict[str, Any]) -> str:
    return str(use["entity"]).removeprefix("ENTITY_").lower()


def _age(use: dict[str, Any]) -> str:
    return f"{float(str(use['age']).removesuffix('s')):.0f} s"


_MARKS: Final = {"OUTCOME_TRUE": "[green]✔[/]", "OUTCOME_FALSE": "[red]✘[/]", "OUTCOME_UNKNOWN": "[yellow]?[/]"}


def _show_rule(console: Console, rule: dict[str, Any]) -> None:
    effect = rule["effect"].removeprefix("EFFECT_").lower()
    where = f"{rule['file']}:{rule['line']}"
    console.print(
        f"\n{_MARKS[rule['outcome']]} [bold]{rule['rule_id']}[/] {effect} [dim]{where} · {rule['basis']}[/]"
    )
    for part in rule.get("conditions", ()):
        values = ", ".join(f"{it['path'].rpartition('.')[2]}={_shown(it)}" for it in part.get("values", ()))
        console.print(f"    {_MARKS[part['outcome']]} {part['text']}" + (f"   [dim]{values}[/]" if values else ""))


def _shown(value: dict[str, Any]) -> str:
    return str(value["value"]) if "value" in value else value["disclosure"].removeprefix("DISCLOSURE_").lower()
