"""Every pattern function against pycasbin's own, over a table of edge cases."""

from __future__ import annotations

import itertools

import pytest
from casbin.model import FunctionMap
from hypothesis import given
from hypothesis import strategies as st

from pdp.engine import CompiledEnforcer, RowsAdapter
from pdp.engine.compiled import patterns
from pdp.engine.compiled.errors import NotCompilableError
from tests.engine.compare import model_of, outcome

FUNCTIONS = FunctionMap.load_function_map().get_functions()
TEXTS = (
    "", "/", "/a", "/a/", "/a/b", "/a/b/c", "/a/1", "/a/1/a/1", "/a/1/a/2", "/A", "a", "/a?x=1", "/a/b?x=1", "?",
    "/pub/../admin", "/a\n", "/a/b\n", "/a.b", "/axb", "é", "/é", "/a/{id}", "/a/:id", "*", "/*", "/a/b/c/d/e", "//",
)  # fmt: skip
PATTERNS = (
    "", "/", "/a", "/a/*", "*", "/*", "/a/*/c", "/a/:id", "/a/:id/a/:id", "/:a/:b", "/a/{id}", "/a/{id}/a/{id}",
    "/a/{x}/a/{y}", "/a.b", "/a/**", "**", "/a/b?", "/[ab]", "/a/[!b]", "/{a,b}", "*/b", "/a|/b", "^/a", "/a$", ".*",
    "(?i)/a", "(", "[", "/a/(b)", "\\", "{", "}", "/a/{", "/a/:", ":", "{}", "a*b*c", "/a/\n", "*/*/a", "/a/{id}/**",
)  # fmt: skip
NAMES = ("keyMatch", "keyMatch2", "keyMatch3", "keyMatch4", "keyMatch5", "regexMatch", "globMatch")


def compiled(name: str, text: str, pattern: str) -> object:
    return patterns.prepare(name, pattern)(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_function_gives_what_pycasbin_gives(name: str) -> None:
    agreed = 0
    for text, pattern in itertools.product(TEXTS, PATTERNS):
        expected = outcome(FUNCTIONS[name], text, pattern)
        found = outcome(compiled, name, text, pattern)
        if expected[0] == "raised":
            assert found[0] == "raised", (name, text, pattern)
        elif found == ("raised", NotCompilableError):
            assert name == "keyMatch4", (name, text, pattern)
        else:
            assert found == expected, (name, text, pattern)
            agreed += 1
    assert agreed > 0.7 * len(TEXTS) * len(PATTERNS)


ADDRESSES = (
    "10.0.0.1", "10.255.0.1", "11.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1", "10.0.0", "010.0.0.1", "", "x",
    "10.0.0.1/8", "fe80::1%eth0",
)  # fmt: skip
NETWORKS = ("10.0.0.0/8", "10.0.0.1", "10.0.0.1/8", "::/0", "0.0.0.0/0", "::1", "fe80::/10", "x", "", "10.0.0.0/33")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("network", NETWORKS)
def test_ip_match_gives_what_pycasbin_gives(address: str, network: str) -> None:
    assert outcome(compiled, "ipMatch", address, network) == outcome(FUNCTIONS["ipMatch"], address, network)


def test_a_mapped_address_stays_outside_of_its_network() -> None:
    assert compiled("ipMatch", "::ffff:10.0.0.1", "10.0.0.0/8") is False


@pytest.mark.parametrize(
    "arguments", [("_", "_"), ("2000-01-01 00:00:00", "_"), ("_", "2000-01-01 00:00:00"), ("x", "_")]
)
def test_time_match_is_interpreted(arguments: tuple[str, str]) -> None:
    model = (
        "[request_definition]\nr = sub\n[policy_definition]\np = start, end\n"
        "[policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\nm = timeMatch(p.start, p.end)\n"
    )
    enforcer = CompiledEnforcer(model_of(model), RowsAdapter([("p", *arguments)]))
    assert outcome(enforcer.enforce, "alice") == (
        ("raised", RuntimeError) if arguments[0] == "x" else ("returned", FUNCTIONS["timeMatch"](*arguments))
    )
    assert "timeMatch" in str(enforcer.compilation_report())


ALPHABET = st.text(alphabet="/ab:{}*.?|()[]^$+\\1", max_size=10)


@given(st.sampled_from(NAMES), ALPHABET, ALPHABET)
def test_any_pattern_and_text_agree(name: str, text: str, pattern: str) -> None:
    expected = outcome(FUNCTIONS[name], text, pattern)
    found = outcome(compiled, name, text, pattern)
    assert found == expected or (found[0] == "raised" and (expected[0] == "raised" or name == "keyMatch4"))


@given(st.sampled_from(sorted(patterns.PREFIX_NAMES)), ALPHABET, ALPHABET)
def test_whatever_a_pattern_matches_starts_with_its_literal_prefix(name: str, text: str, pattern: str) -> None:
    if outcome(FUNCTIONS[name], text, pattern) == ("returned", True):
        start = patterns.plain_slashes(text) if name == "globMatch" else text
        assert start.startswith(patterns.literal_prefix(name, pattern))


EDGES = (
    ("keyMatch", "/pub/../admin", "/pub/*", True), ("keyMatch", "/pub", "/pub/*", False), ("keyMatch", "", "*", True),
    ("keyMatch", "/a/1/edit", "/a/*/view", True), ("keyMatch", "/a", "/a", True), ("keyMatch", "/A", "/a", False),
    ("keyMatch2", "/a/1", "/a/:id", True), ("keyMatch2", "/a/1/2", "/a/:id", False),
    ("keyMatch2", "/a/", "/a/:id", False),
    ("keyMatch2", "/axb", "/a.b", True), ("keyMatch2", "/a/1\n", "/a/:id", True), ("keyMatch2", "x", "*", True),
    ("keyMatch3", "/a/1", "/a/{id}", True), ("keyMatch3", "/a/1/2", "/a/{id}/*", True),
    ("keyMatch3", "/a/", "/a/{id}", False),
    ("keyMatch4", "/a/1/b/1", "/a/{x}/b/{x}", True), ("keyMatch4", "/a/1/b/2", "/a/{x}/b/{x}", False),
    ("keyMatch4", "/a/1/b/2", "/a/{x}/b/{y}", True), ("keyMatch4", "/a", "/a", True),
    ("keyMatch5", "/a?b=1", "/a", True), ("keyMatch5", "/a/1?b=/2", "/a/{id}", True),
    ("keyMatch5", "/a/1/2", "/a/{id}", False),
    ("keyMatch5", "?", "", True), ("keyMatch5", "/a", "/a/*", False),
    ("regexMatch", "ab", "a", True), ("regexMatch", "ba", "a", False), ("regexMatch", "a\n", "^a$", True),
    ("regexMatch", "", ".*", True), ("regexMatch", "A", "(?i)a", True),
    ("globMatch", "/a/b", "/a/*", True), ("globMatch", "/a/b/c", "/a/*", False),
    ("globMatch", "/a/b/c", "/a/**", True),
    ("globMatch", "/a", "/a/**", True), ("globMatch", "//a//b", "/a/b", True), ("globMatch", "/x/a", "*/a", False),
    ("globMatch", "/a", "*/a", True), ("globMatch", "/a/.b", "/a/*", False), ("globMatch", "/ab", "/[ab]b", True),
    ("globMatch", "/b", "/{a,b}", True),
    ("ipMatch", "10.0.0.1", "10.0.0.0/8", True), ("ipMatch", "10.0.0.1", "10.0.0.1", True),
    ("ipMatch", "11.0.0.1", "10.0.0.1/8", False), ("ipMatch", "::1", "::/0", True),
    ("ipMatch", "::1", "0.0.0.0/0", False),
    ("ipMatch", "::ffff:10.0.0.1", "10.0.0.0/8", False), ("ipMatch", "10.0.0.1", "nowhere", False),
)  # fmt: skip


@pytest.mark.parametrize(("name", "text", "pattern", "matches"), EDGES)
def test_the_edge_cases_of_each_function(name: str, text: str, pattern: str, matches: bool) -> None:  # noqa: FBT001
    assert outcome(FUNCTIONS[name], text, pattern) == ("returned", matches)
    assert compiled(name, text, pattern) is matches


def test_every_function_of_pycasbin_is_accounted_for() -> None:
    assert patterns.NAMES | {"timeMatch"} == set(FUNCTIONS)
    assert {name for name, *_ in EDGES} == patterns.NAMES == patterns.INDEXED_NAMES
