"""The keys of the index: no rule that matches, or on which pycasbin raises, is left out, and most others are."""

from __future__ import annotations

import ipaddress
from typing import Any

import casbin
import pytest
from casbin.model import FunctionMap
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine import CompiledEnforcer, RowsAdapter
from pdp.engine.compiled import patterns
from pdp.engine.compiled.blocks import Fused
from pdp.engine.compiled.conditions import Path
from pdp.engine.compiled.errors import NotCompilableError
from pdp.engine.compiled.index import flatten
from pdp.engine.compiled.keys import EqualKeys, NetworkKeys, PrefixKeys, RoleKeys, make_keys
from pdp.engine.compiled.plan import Dimension
from pdp.engine.compiled.roles import DomainRoles, Roles
from tests.engine.compare import explained, model_of

MODEL = """[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && {}(r.obj, p.obj)
"""
FUNCTIONS = FunctionMap.load_function_map().get_functions()
GLOBS = st.text(alphabet="//ab.*?{},[]!-\\~", max_size=8)
PATHS = st.text(alphabet="///ab..a~-!\n", max_size=8)


def dimension(function: str = "==", wildcard: str | None = None) -> Dimension:
    return Dimension(Path(0), 0, function, None, wildcard)


@pytest.mark.parametrize(
    ("function", "roles", "kind"),
    [
        ("==", {}, EqualKeys), ("g", {"g": Roles(())}, RoleKeys), ("ipMatch", {}, NetworkKeys),
        ("globMatch", {}, PrefixKeys), ("keyMatch5", {}, PrefixKeys), ("regexMatch", {}, PrefixKeys),
    ],
)  # fmt: skip
def test_each_function_has_its_keys(function: str, roles: dict[str, Any], kind: type) -> None:
    assert isinstance(make_keys(dimension(function), roles), kind)


def test_a_wildcard_is_looked_for_beside_the_value() -> None:
    keys = EqualKeys(dimension(wildcard="*"))
    assert keys.of_row(("*",)) in keys.of_request("a", "")
    assert keys.of_row(("a",)) in keys.of_request("a", "")
    assert keys.of_row(("b",)) not in keys.of_request("a", "")
    assert len(EqualKeys(dimension()).of_request("a", "")) == 1


def test_roles_are_looked_for_in_the_domain_alone() -> None:
    keys = RoleKeys(dimension("g"), DomainRoles([("alice", "admin", "d1"), ("alice", "guest", "d2")]))
    assert set(keys.of_request("alice", "d1")) == {"alice", "admin"}
    assert set(keys.of_request("alice", "d3")) == {"alice"}
    with_wildcard = RoleKeys(dimension("g", "*"), Roles([("alice", "admin")]))
    assert with_wildcard.of_row(("*",)) in with_wildcard.of_request("nobody", "")


ADDRESSES = (
    "10.0.0.1", "10.0.1.0", "10.255.255.255", "11.0.0.0", "0.0.0.1", "255.255.255.255", "::", "::1", "fe80::1%eth0",
    "2001:db8::8", "::ffff:10.0.0.1",
)  # fmt: skip
NETWORKS = (
    "10.0.0.0/8", "10.0.0.1", "10.0.0.1/31", "0.0.0.0/0", "::/0", "fe80::/10", "2001:db8::/32", "::ffff:0:0/96",
    "10.0.0.0/255.0.0.0", "10.0.0.0/0.0.0.255", "", "x", "10.0.0.0/33", "10.0.0.0/8 ", "1",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_finds_the_networks_it_is_in_and_no_others(address: str) -> None:
    keys = NetworkKeys(dimension("ipMatch"))
    filed = {network: keys.of_row((network,)) for network in NETWORKS}
    asked = set(keys.of_request(address, ""))
    for network, key in filed.items():
        assert (key in asked) is bool(FUNCTIONS["ipMatch"](address, network))


@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=9))
def test_any_address_finds_its_networks(number: int, drawn: list[tuple[int, int]]) -> None:
    keys = NetworkKeys(dimension("ipMatch"))
    address = str(ipaddress.IPv4Address(number))
    networks = [f"{ipaddress.IPv4Address(base)}/{length}" for base, length in drawn]
    filed = {network: keys.of_row((network,)) for network in networks}
    asked = set(keys.of_request(address, ""))
    assert all((key in asked) is FUNCTIONS["ipMatch"](address, network) for network, key in filed.items())


@pytest.mark.parametrize("address", ["", "x", "10.0.0", "010.0.0.1", "10.0.0.1/8", "10.0.0.1\n"])
def test_what_is_no_address_reaches_every_rule(address: str) -> None:
    keys = NetworkKeys(dimension("ipMatch"))
    filed = {keys.of_row((network,)) for network in NETWORKS}
    assert set(keys.of_request(address, "")) == filed


@pytest.mark.parametrize(
    ("name", "pattern", "prefix"),
    [
        ("keyMatch", "/a/*", "/a/"), ("keyMatch5", "/a/{id}/b", "/a"), ("keyMatch5", "/a?", "/"),
        ("keyMatch2", "/a/:id", "/a"), ("keyMatch3", "/a/{id}", "/a"), ("keyMatch4", "/a/{id}", "/a/"),
        ("regexMatch", "^/abc.*$", "/ab"), ("regexMatch", "^/a|/b$", ""), ("regexMatch", "^/abc$", "/ab"),
        ("globMatch", "/a/b/*", "/a/b"), ("globMatch", "/a/**", "/a"), ("globMatch", "*/a/b", "/a"),
        ("globMatch", "//a//b/c?", "/a/b"), ("globMatch", "{/a,/b}/c", ""), ("globMatch", "/a\\*/b", ""),
    ],
)  # fmt: skip
def test_the_literal_start_of_a_pattern(name: str, pattern: str, prefix: str) -> None:
    found = patterns.literal_prefix(name, pattern)
    assert prefix.startswith(found)
    assert len(found) >= len(prefix) - 2


@given(st.sampled_from(sorted(patterns.PREFIX_NAMES)), st.one_of(GLOBS, PATHS), PATHS, st.booleans())
def test_all_that_a_pattern_matches_starts_with_its_literal_start(
    name: str,
    pattern: str,
    text: str,
    from_pattern: bool,  # noqa: FBT001 - drawn
) -> None:
    if from_pattern:
        text = pattern.replace("*", text).replace("/", "//", 1)
    keys = PrefixKeys(dimension(name))
    key = keys.of_row((pattern,))
    try:
        matches = patterns.prepare(name, pattern)(text)
    except NotCompilableError:
        return
    assert not matches or key in keys.of_request(text, "")


@pytest.mark.parametrize("name", sorted(patterns.INDEXED_NAMES))
@pytest.mark.parametrize("mode", ["exact", "strict"])
def test_an_index_looks_at_few_of_many_rules(name: str, mode: Any) -> None:
    wide = {"ipMatch": "10.{}.0.0/16", "globMatch": "/a{}x/*", "regexMatch": "^/a{}x/[a-z]+$", "keyMatch": "/a{}x/*"}
    rows = [("p", "s", wide.get(name, "/a{}x/b").format(number), "read") for number in range(200)]
    enforcer = CompiledEnforcer(model_of(MODEL.format(name)), rows, mode)
    reference = casbin.Enforcer(model_of(MODEL.format(name)), RowsAdapter(rows))
    asked = "10.77.1.1" if name == "ipMatch" else "/a77x/b"
    request = ("s", asked, "read")
    assert enforcer.match(*request) == (77,)
    assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)
    assert enforcer.compilation_report().indexed == ("r_act == p_act", f"{name}(r_obj, p_obj)")
    index = enforcer._engine.programs["r", "p", "m"].builder.index
    found = index.resolve("read", asked)
    looked_at = [entry for bucket in (found if isinstance(found, list) else [found]) for entry in flatten(bucket)]
    assert len(looked_at) <= 12
    assert not isinstance(found, Fused)


def test_a_condition_behind_ip_match_does_not_hide_that_it_raises() -> None:
    model = MODEL.format("ipMatch").replace(
        "r.act == p.act && ipMatch(r.obj, p.obj)", "ipMatch(r.obj, p.obj) && r.act == p.act"
    )
    rows = [("p", "s", "10.0.0.0/8", "read")]
    enforcer, reference = CompiledEnforcer(model_of(model), rows), casbin.Enforcer(model_of(model), RowsAdapter(rows))
    for request in (
        ("s", "x", "write"),
        ("s", "10.0.0.1", "write"),
        ("s", "10.0.0.1", "read"),
        ("s", "11.0.0.1", "x"),
    ):
        assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)
    assert enforcer.compilation_report().indexed == ("ipMatch(r_obj, p_obj)",)


DOMAINS = (
    MODEL.replace("sub, obj, act", "sub, dom, obj, act")
    .replace("[policy_effect]", "[role_definition]\ng = _, _, _\n[policy_effect]")
    .replace(
        "r.act == p.act && {}(r.obj, p.obj)",
        "g(r.sub, p.sub, r.dom) && r.dom == p.dom && r.obj == p.obj && r.act == p.act",
    )
)


def test_roles_in_domains_are_indexed_with_the_fields_around_them() -> None:
    rows: list[tuple[str, ...]] = [("p", "admin", f"d{n % 7}", f"o{n}", "read") for n in range(100)]
    rows += [("g", f"user{n}", "admin", f"d{n % 7}") for n in range(50)]
    enforcer = CompiledEnforcer(model_of(DOMAINS), rows)
    reference = casbin.Enforcer(model_of(DOMAINS), RowsAdapter(rows))
    assert len(enforcer.compilation_report().indexed) == 4
    for request in (("user8", "d1", "o8", "read"), ("user8", "d2", "o8", "read"), ("admin", "d1", "o8", "read")):
        assert explained(enforcer.enforce_ex, *request) == explained(reference.enforce_ex, *request)
    assert enforcer.match("user8", "d1", "o8", "read") == (8,)
