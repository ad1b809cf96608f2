"""routes.yaml: what a request line comes to mean, and which tables are refused."""

from __future__ import annotations

import pytest

from pdp.core.request import EntityRef
from pdp.core.routes import RouteMatch
from tests.policy.example import ROUTES, build, problems_of, refused, swap

FILE = "routes.yaml"


def test_a_request_line_is_mapped() -> None:
    routes = build().routes
    assert routes.match("GET", "/customers/c-1", {}) == RouteMatch("read", EntityRef("customer", "c-1"), "support")
    assert routes.match("GET", "/customers/search", {}) == RouteMatch("list", EntityRef("customer", "any"))
    assert routes.match("GET", "/cards/c-1/4", {"tier": "gold"}) == RouteMatch("read", EntityRef("card", "c-1/4"))
    assert routes.match("GET", "/cards/c-1/4", {}) is None
    assert routes.match("POST", "/customers/c-1", {}) is None


def test_a_table_without_routes_is_a_table() -> None:
    assert not build({FILE: "version: 1\nroutes: []\n# end\n"}).routes.routes


@pytest.mark.parametrize(
    ("old", "new", "needle", "problem"),
    [
        ("method: DELETE", "method: delete", "delete, path", "'delete' is not an HTTP method"),
        ("method: DELETE, ", "", '{path: "/customers/{id}", action: delete', "key 'method' is missing"),
        ("action: delete", "action: destroy", "destroy", "'destroy' is not an action of the schema"),
        ("action: delete", "acton: delete", "acton", "unknown key 'acton'"),
        ('"/customers/search"', '"customers/search"', '"customers/search"', "a path starts with /"),
        ('"/customers/search"', '"/customers//search"', '"/customers//search"', "'' is not a path segment"),
        ('"/customers/search"', '"/customers/../x"', '"/customers/../x"', "'..' is not a path segment"),
        ('"/customers/search"', '"/customers/%41"', '"/customers/%41"', "'%41' is not a path segment"),
        ('"/customers/search"', '"/customers/c-{id}"', '"/customers/c-{id}"', "'c-{id}' is not a path segment"),
        ('"/customers/search"', '"/customers/a?b"', '"/customers/a?b"', "'a?b' is not a path segment"),
        ('"/customers/search"', '"/{id}/{id}"', '"/{id}/{id}"', "a placeholder stands twice"),
        ('"/customers/search"', "[a]", "[a]", "a text is expected"),
        ('"customer:any"', '"custmer:any"', '"custmer:any"', "no resource type 'custmer'"),
        ('"customer:any"', '"customer"', '"customer"', "a resource is written type:id"),
        ('"customer:any"', '"customer:a b"', '"customer:a b"', "a resource is written type:id"),
        ('"customer:any"', '"customer:{id}"', '"customer:{id}", purpose', ""),
        ('"card:{owner}/{id}"', '"card:{owner}.{id}"', '"card:{owner}.{id}"', "could run into each other"),
        ('"card:{owner}/{id}"', '"card:{owner}{id}"', '"card:{owner}{id}"', "could run into each other"),
        ('"card:{owner}/{id}"', '"card:{owner}/{idd}"', '"card:{owner}/{idd}"', "no placeholder {idd}"),
        ("purpose: support", "purpose: suport", "suport", "'suport' is not a purpose"),
        ("{tier: gold}", "{tier: 1}", "1}", "a text is expected"),
        ("{tier: gold}", "gold", "gold", "a mapping is expected"),
        ("routes:", "routez:", "routez", "unknown key 'routez'"),
    ],
)
def test_is_refused(old: str, new: str, needle: str, problem: str) -> None:
    if problem:
        refused(FILE, old, new, needle, problem)
    else:
        found = problems_of(swap(FILE, old, new))
        assert [(it.line, it.problem) for it in found] == [(4, "the path has no placeholder {id}")]


@pytest.mark.parametrize(
    "route",
    [
        '{method: GET, path: "/customers/{number}", action: list, resource: "customer:{number}"}',
        '{method: GET, path: "/{kind}/search", action: list, resource: "log:{kind}"}',
        '{method: GET, path: "/cards/{a}/{b}", action: list, resource: "log:{a}", extensions: {colour: red}}',
    ],
)
def test_routes_of_equal_rank_that_fit_one_request_are_refused(route: str) -> None:
    found = problems_of({FILE: ROUTES.replace("# end", f"  - {route}\n# end")})
    assert [(it.line, it.column) for it in found] == [(7, 5)]
    assert found[0].problem.startswith("fits the same requests as the route of line ")


@pytest.mark.parametrize(
    "route",
    [
        '{method: PUT, path: "/customers/{number}", action: list, resource: "customer:{number}"}',
        '{method: GET, path: "/cards/{a}/{b}", action: list, resource: "log:{a}", extensions: {tier: silver}}',
        '{method: GET, path: "/cards/{a}/{b}", action: list, resource: "log:{a}"}',
        '{method: GET, path: "/cards/{a}/all", action: list, resource: "log:{a}", extensions: {tier: gold}}',
        '{method: GET, path: "/", action: list, resource: "log:all"}',
    ],
)
def test_routes_that_no_request_fits_alike_are_accepted(route: str) -> None:
    assert not problems_of({FILE: ROUTES.replace("# end", f"  - {route}\n# end")})
