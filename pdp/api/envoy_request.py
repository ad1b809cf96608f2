"""Reads what Envoy tells of a request, and takes no more than one reading of it.

Rules. What identifies the subject comes from what Envoy proved: the client's certificate or a JWT it verified. A
header counts only from an Envoy that is trusted by name to have set it, and only if it is there once with a single
value. The request line is read from the attributes Envoy filled in itself (method, path), never from headers such as
``x-envoy-original-path`` that a client can send. Whatever has two readings is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.struct_pb2 import Value

from pdp.api.settings import ExtAuthzSettings, Origin, Source
from pdp.core.reasons import Cause, Reason
from pdp.core.request import Context, EntityRef, Request
from pdp.core.routes import AmbiguousPathError, RouteMatch, RouteTable
from pdp.extauthz.v3.external_auth_pb2 import AttributeContext

_JWT_FILTER: Final = "envoy.filters.http.jwt_authn"
_NOWHERE: Final = RouteMatch("", EntityRef("", ""))


class AmbiguousEvidenceError(Exception):
    """Something about a request that can be read in more than one way, or in none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request was found to be.

    Attributes:
        request: as much of it as is known; what is not known is empty.
        cause: why it cannot be decided on; None where it can.
    """

    request: Request
    cause: Cause | None


class Evidence:
    """What there is to know of one request, by who vouches for it."""

    def __init__(self, attributes: AttributeContext, settings: ExtAuthzSettings, caller_id: str) -> None:
        self._attributes = attributes
        self._headers_count = caller_id in settings.header_peers
        self._claims = _claims(attributes, settings.jwt_payload)

    def read(self, sources: tuple[Source, ...]) -> str:
        """Give what the sources say; empty where none says anything.

        Raises:
            AmbiguousEvidenceError: they contradict each other, or one of them has no single plain value.
        """
        values = {value for source in sources if (value := self._read(source))}
        if len(values) > 1:
            raise AmbiguousEvidenceError
        return values.pop() if values else ""

    def header(self, name: str) -> str:
        """Give a header's value, whoever set it; empty where it is absent.

        Raises:
            AmbiguousEvidenceError: it is there more than once, has several values, or is not plain ASCII.
        """
        http = self._attributes.request.http
        values = [http.headers[name]] if name in http.headers else []
        # Under encode_raw_headers; repeated headers are repeated here.
        raw = (header for header in http.header_map.headers if header.key.lower() == name)
        values += [header.raw_value or header.value for header in raw]
        if not values:
            return ""
        # Envoy joins the values of a repeated header by commas.
        if len(values) > 1 or b"," in values[0] or not values[0].isascii():
            raise AmbiguousEvidenceError
        return values[0].decode("ascii")

    def _read(self, source: Source) -> str:
        match source.origin:
            case Origin.CLAIM:
                return self._claim(source.name)
            case Origin.PRINCIPAL:
                principal = self._attributes.source.principal
                return principal[len(source.name) :] if principal.startswith(source.name) else ""
            case Origin.EXTENSION:
                return self._attributes.context_extensions.get(source.name, "")
            case Origin.HEADER:
                return self.header(source.name) if self._headers_count else ""

    def _claim(self, name: str) -> str:
        if name not in self._claims:
            return ""
        value = self._claims[name]
        if value.WhichOneof("kind") != "string_value":
            raise AmbiguousEvidenceError
        return value.string_value


def _claims(attributes: AttributeContext, payload: str) -> Mapping[str, Value]:
    metadata = attributes.metadata_context.filter_metadata
    if _JWT_FILTER not in metadata:
        return {}
    payloads = metadata[_JWT_FILTER].fields
    return payloads[payload].struct_value.fields if payload in payloads else {}


def read_request(
    attributes: AttributeContext, settings: ExtAuthzSettings, caller_id: str, routes: RouteTable
) -> Reading:
    """Say what is asked, and by whom.

    Args:
        attributes: what Envoy tells.
        settings: where to find what.
        caller_id: the proved identity of the Envoy that asks, or empty.
        routes: what a request line asks for.
    """
    evidence = Evidence(attributes, settings, caller_id)
    stated: dict[str, str] = {}
    causes: list[Cause] = []
    for name in ("subject", "session", "device", "purpose", "channel", "network", "emergency_reason"):
        try:
            stated[name] = evidence.read(getattr(settings, name))
        except AmbiguousEvidenceError:
            stated[name] = ""
            causes.append(Cause(Reason.EVIDENCE_AMBIGUOUS, name))
    if not stated["subject"] and not causes:
        causes.append(Cause(Reason.IDENTITY_MISSING, "subject"))
    route = _route(attributes, routes)
    if isinstance(route, Cause):
        causes.append(route)
        route = _NOWHERE
    request = Request(
        EntityRef(settings.subject_type, stated["subject"]),
        route.action,
        route.resource,
        _context(attributes, settings, route, stated),
        stated["session"],
        stated["device"],
    )
    return Reading(request, causes[0] if causes else None)


def _route(attributes: AttributeContext, routes: RouteTable) -> RouteMatch | Cause:
    http = attributes.request.http
    try:
        # Latin-1 reads any byte; those outside of ASCII are refused as ambiguous like any other odd character.
        found = routes.match(http.method, http.path.decode("latin-1"), dict(attributes.context_extensions))
    except AmbiguousPathError:
        return Cause(Reason.PATH_AMBIGUOUS)
    return found or Cause(Reason.ROUTE_UNKNOWN)


def _context(
    attributes: AttributeContext, settings: ExtAuthzSettings, route: RouteMatch, stated: dict[str, str]
) -> Context:
    named = attributes.context_extensions.get(settings.obligations_extension, "").split(",")
    return Context(
        route.purpose or stated["purpose"],
        stated["channel"],
        stated["network"],
        bool(stated["emergency_reason"]),
        stated["emergency_reason"],
        settings.supported_obligations.union(name.strip() for name in named if name.strip()),
    )
