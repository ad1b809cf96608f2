"""The policies that are measured, with the requests that reach their first rule, their last, and none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = tuple[str, ...]
_EFFECT = "[policy_effect]\ne = some(where (p.eft == allow))\n"
ABAC = (
    "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub_rule, obj, act\n"
    + _EFFECT
    + "[matchers]\nm = r.act == p.act && r.obj.type == p.obj && eval(p.sub_rule)\n"
)
RBAC = (
    "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[role_definition]\ng = _, _\n"
    + _EFFECT
    + "[matchers]\nm = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act\n"
)
_ACTIONS = 10


class Subject:
    """Who asks."""

    __slots__ = ("age", "id", "region")

    def __init__(self, identifier: str, age: int, region: str) -> None:
        self.id, self.age, self.region = identifier, age, region


class Resource:
    """What is asked for."""

    __slots__ = ("region", "type")

    def __init__(self, kind: str, region: str) -> None:
        self.type, self.region = kind, region


@dataclass(frozen=True)
class Case:
    """A policy and the requests to measure.

    Attributes:
        name: of the kind of policy.
        rules: how many.
        model: the model's text.
        rows: the policy.
        requests: first, last and no match -> the request.
        expected: the decision for each.
    """

    name: str
    rules: int
    model: str
    rows: list[Row]
    requests: dict[str, tuple[Any, ...]]
    expected: dict[str, bool]


_EXPECTED = {"first": True, "last": True, "none": False}


def spread(rules: int) -> Case:
    """Rules spread over actions and resource types, each with a condition of its own."""
    rows = [
        ("p", f"r.sub.age > {number % 50} && r.sub.region == r.obj.region", f"type{number // _ACTIONS}",
         f"act{number % _ACTIONS}")
        for number in range(rules)
    ]  # fmt: skip
    last = rules - 1

    def request(number: int, age: int) -> tuple[Any, ...]:
        return (
            Subject("alice", age, "eu"), Resource(f"type{number // _ACTIONS}", "eu"), f"act{number % _ACTIONS}",
        )  # fmt: skip

    requests = {"first": request(0, 60), "last": request(last, 60), "none": request(last, 0)}
    return Case("abac, spread", rules, ABAC, rows, requests, _EXPECTED)


def one_bucket(rules: int) -> Case:
    """Rules for one action and type, told apart by a literal in their condition alone."""
    rows = [("p", f"r.sub.id == 'user{number}' && r.sub.age > 18", "doc", "read") for number in range(rules)]

    def request(identifier: str) -> tuple[Any, ...]:
        return Subject(identifier, 60, "eu"), Resource("doc", "eu"), "read"

    requests = {"first": request("user0"), "last": request(f"user{rules - 1}"), "none": request("nobody")}
    return Case("abac, one bucket", rules, ABAC, rows, requests, _EXPECTED)


def rbac(rules: int) -> Case:
    """One role, one rule and one member each."""
    rows: list[Row] = [("p", f"role{number}", f"data{number // _ACTIONS}", "read") for number in range(rules)]
    rows += [("g", f"user{number}", f"role{number}") for number in range(rules)]
    last = rules - 1
    requests = {
        "first": ("user0", "data0", "read"),
        "last": (f"user{last}", f"data{last // _ACTIONS}", "read"),
        "none": ("user0", f"data{last // _ACTIONS}", "write"),
    }
    return Case("rbac", rules, RBAC, rows, requests, _EXPECTED)
