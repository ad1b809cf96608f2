"""``pdp policy explain``: why a request is allowed or denied, and what would change that, without a service."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from pdp.cli.policy.asking import AttributesOption, FolderOption, NowOption, check_known, open_world, parted
from pdp.cli.policy.options import DEFAULT_FOLDER, AsJson
from pdp.cli.policy.values import shown
from pdp.core.condition import parse
from pdp.core.condition.nodes import refs
from pdp.core.decision import Decision, Effect, Entity
from pdp.core.explain import Explanation, Outcome, ReadValue, RuleTrace
from pdp.core.explain import explain as take_apart
from pdp.core.policy import PolicySnapshot
from pdp.core.request import Request, validate
from pdp.core.schema import Kind, Sensitivity, Value
from pdp.workbench.known import sensitivity_of
from pdp.workbench.logic.reading import Declarations, Path
from pdp.workbench.testing.requests import make_request
from pdp.workbench.turn import Change, Turn, find_turns

_MARKS: Final = {Outcome.TRUE: "[green]✔[/]", Outcome.FALSE: "[red]✘[/]", Outcome.UNKNOWN: "[yellow]?[/]"}
_HIDDEN: Final = "(not shown)"
_FEW: Final = 6


def explain(
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
    every_rule: Annotated[bool, typer.Option("--all", help="Show every rule considered.")] = False,
    folder: FolderOption = DEFAULT_FOLDER,
    attributes: AttributesOption = None,
    now: NowOption = None,
    as_json: AsJson = False,
) -> None:
    """Say why a request is allowed or denied, and the smallest changes that would turn the decision."""
    policy, world = open_world(folder, attributes, now)
    for flag, text in (("--subject", subject), ("--resource", resource)):
        parted(text, flag)
    check_known(action, policy.schema.actions, "action")
    check_known(resource.partition(":")[0], policy.schema.resources, "resource type")
    options = {"subject": subject, "action": action, "resource": resource, "session": session, "device": device}
    options |= {"purpose": purpose, "channel": channel, "network": network, "emergency": emergency}
    every_obligation = {it.type for it in policy.obligations.values()}
    request = make_request(options | ({"supports": supports} if supports is not None else {}), every_obligation)
    validate(request)
    entities = world.entities(request)
    explanation = take_apart(request, entities, policy, world.now)
    turns = find_turns(request, entities, policy, world.now)
    printer = _Printer(policy, request, world.now)
    if as_json:
        Console().print_json(data=printer.data(explanation, turns))
    else:
        printer.show(explanation, turns, every_rule=every_rule)


class _Printer:
    def __init__(self, policy: PolicySnapshot, request: Request, now: float) -> None:
        self._policy = policy
        self._type = request.resource.type
        self._now = now
        self._declarations = Declarations(policy.schema, self._type)
        self._console = Console()

    def show(self, explanation: Explanation, turns: tuple[Turn, ...], *, every_rule: bool) -> None:
        decision = explanation.decision
        word = "[bold green]ALLOW[/]" if decision.allowed else "[bold red]DENY[/]"
        self._print(f"{word} {escape(', '.join(map(str, decision.causes)))}")
        for obligation in decision.obligations:
            self._print(f"  [dim]{'must' if obligation.mandatory else 'should'}[/] {obligation.id}")
        for trace in explanation.rules:
            if every_rule or _telling(trace, decision):
                self._show_rule(trace)
        self._show_turns(decision, turns)

    def data(self, explanation: Explanation, turns: tuple[Turn, ...]) -> dict[str, Any]:
        decision = explanation.decision
        return {
            "effect": decision.effect.value,
            "reasons": [str(cause) for cause in decision.causes],
            "rules": list(decision.rules),
            "obligations": [obligation.id for obligation in decision.obligations],
            "revision": decision.revision,
            "considered": [self._rule_data(trace) for trace in explanation.rules],
            "turns": [self._turn_data(turn) for turn in turns],
        }

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False)

    def _show_rule(self, trace: RuleTrace) -> None:
        rule = trace.rule
        where = f"{rule.file}:{rule.line}"
        self._print(
            f"\n{_MARKS[trace.outcome]} [bold]{rule.id}[/] {rule.effect.value} [dim]{where} · {escape(rule.basis)}[/]"
        )
        for part in trace.conditions:
            values = ", ".join(f"{it.path.rpartition('.')[2]}={self._read(it)}" for it in part.values)
            told = f"   [dim]{escape(values)}[/]" if values else ""
            self._print(f"    {_MARKS[part.outcome]} {escape(part.text)}{told}")

    def _read(self, read: ReadValue) -> str:
        entity, _, name = read.path.partition(".")
        if read.value is None:
            return "(not usable)"
        if read.sensitivity is not Sensitivity.CLEAR:
            return _HIDDEN
        return self._value((Entity(entity), name), read.value)

    def _value(self, path: Path, value: Value) -> str:
        return shown(value, self._declarations.attribute(path).kind, self._now)

    def _show_turns(self, decision: Decision, turns: tuple[Turn, ...]) -> None:
        other = "allow" if decision.effect is Effect.DENY else "deny"
        if not turns:
            self._print(f"\n[dim]no change of attributes alone would make it {other}[/]")
            return
        self._print(f"\n[bold]it would be {other}[/]")
        for turn in turns:
            rules = ", ".join(turn.rules) or "no rule that allows"
            parts = [self._change(change) for change in turn.changes]
            parts += [f"the enforcement point carries out {name}" for name in sorted(turn.supports)]
            self._print(f"  [cyan]if[/] {escape(' and '.join(parts))}  [dim]({rules})[/]")

    def _change(self, change: Change) -> str:
        path = f"{change.path[0]}.{change.path[1]}"
        clear = self._is_clear(change.path)
        before = "unknown" if change.before is None else self._value(change.path, change.before)
        if self._tells_of_others(change) or not (clear or self._is_declared(change.path)):
            # What would do may be somebody's data; only what the policy and the schema say can be said.
            return f"{path} were such that {' and '.join(change.parts) or 'it differed'}"
        return f"{path} were {self._wanted(change)} (now {before if clear else 'not shown'})"

    def _is_clear(self, path: Path) -> bool:
        return sensitivity_of(self._policy, self._type, path) is Sensitivity.CLEAR

    def _is_declared(self, path: Path) -> bool:
        attribute = self._declarations.attribute(path)
        return attribute.kind not in (Kind.STRING, Kind.LIST) or bool(attribute.values)

    def _tells_of_others(self, change: Change) -> bool:
        """Say whether a value that would do follows from another attribute's, which is not to be shown."""
        others = {path for part in change.parts for path in refs(parse(part))} - {change.path}
        return any(not self._is_clear(path) for path in others)

    def _wanted(self, change: Change) -> str:
        low, high = (None if it is None else self._value(change.path, it) for it in (change.low, change.high))
        if change.low is not None or change.high is not None:
            if low == high:
                return str(low)
            is_time = self._declarations.attribute(change.path).kind is Kind.TIME
            more, less = ("or later", "or earlier") if is_time else ("or more", "or less")
            return f"{low} to {high}" if low and high else f"{low} {more}" if low else f"{high} {less}"
        if 1 < len(change.choices) <= _FEW:
            return "one of " + ", ".join(change.choices)
        return self._value(change.path, change.after)

    def _rule_data(self, trace: RuleTrace) -> dict[str, Any]:
        rule = trace.rule
        conditions = [
            {
                "text": part.text,
                "outcome": part.outcome.value,
                "values": {it.path: self._read(it) for it in part.values},
            }
            for part in trace.conditions
        ]
        where = {"file": rule.file, "line": rule.line, "basis": rule.basis}
        return {
            "id": rule.id,
            "effect": rule.effect.value,
            "outcome": trace.outcome.value,
            **where,
            "conditions": conditions,
        }

    def _turn_data(self, turn: Turn) -> dict[str, Any]:
        changes = [{"attribute": f"{it.path[0]}.{it.path[1]}", "change": self._change(it)} for it in turn.changes]
        return {"changes": changes, "rules": list(turn.rules), "supports": sorted(turn.supports)}


def _telling(trace: RuleTrace, decision: Decision) -> bool:
    """Say whether a rule has a say in the answer: it matched, or nothing did and it might have allowed."""
    if trace.outcome is not Outcome.FALSE:
        return True
    return not decision.rules and trace.rule.effect is Effect.ALLOW
