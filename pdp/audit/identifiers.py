"""How an identifier appears in the log: clear, as a keyed pseudonym, or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from json.encoder import encode_basestring_ascii as quote
from types import MappingProxyType

from pdp.signing.errors import KeyFileError
from pdp.signing.pseudonyms import PseudonymKey

_CACHE_ENTRIES = 16_384


class Treatment(StrEnum):
    """What becomes of an identifier."""

    CLEAR = "clear"
    PSEUDONYM = "pseudonym"
    OMIT = "omit"


_PSEUDONYM = Treatment.PSEUDONYM  # bound once: looking a member up on its class is slow before Python 3.12


@dataclass(frozen=True, slots=True)
class IdentifierPolicy:
    """The treatment of each identifying field; `resource_types` overrides `resource` for the types it names."""

    caller: Treatment = Treatment.CLEAR
    subject: Treatment = Treatment.PSEUDONYM
    resource: Treatment = Treatment.PSEUDONYM
    session: Treatment = Treatment.PSEUDONYM
    device: Treatment = Treatment.PSEUDONYM
    resource_types: Mapping[str, Treatment] = field(default_factory=lambda: MappingProxyType({}))

    def needs_key(self) -> bool:
        """Whether any field is to be a pseudonym."""
        fields = (self.caller, self.subject, self.resource, self.session, self.device)
        return Treatment.PSEUDONYM in (*fields, *self.resource_types.values())


class IdentifierField(dict[str | None, str]):
    """Maps identifiers of one field to JSON text: quoted ASCII, or `null` when absent or to be left out.

    It is a dictionary so that a known identifier costs one lookup; it forgets everything at 16,384 entries.
    """

    def __init__(self, name: str, treatment: Treatment, key: PseudonymKey | None) -> None:
        super().__init__({None: "null"})
        self._name = name
        self._treatment = treatment
        self._key = key

    def __missing__(self, identifier: object) -> str:
        text = identifier if isinstance(identifier, str) else str(identifier)
        if len(self) >= _CACHE_ENTRIES:
            self.clear()
            self[None] = "null"
        if self._key is not None and self._treatment is _PSEUDONYM:
            answer = f'"{self._key.pseudonym(self._name, text)}"'
        else:
            answer = quote(text) if self._treatment is Treatment.CLEAR else "null"
        self[text] = answer
        return answer


class Identifiers:
    """Applies a policy with a pseudonym key.

    Raises:
        KeyFileError: the policy asks for pseudonyms and there is no key.
    """

    def __init__(self, policy: IdentifierPolicy, key: PseudonymKey | None) -> None:
        if key is None and policy.needs_key():
            raise KeyFileError("the identifier policy asks for pseudonyms and there is no pseudonym key")
        self._resources = {kind: IdentifierField("resource", how, key) for kind, how in policy.resource_types.items()}
        self._resource = IdentifierField("resource", policy.resource, key)
        self.caller = IdentifierField("caller", policy.caller, key)
        self.subject = IdentifierField("subject", policy.subject, key)
        self.session = IdentifierField("session", policy.session, key)
        self.device = IdentifierField("device", policy.device, key)

    def resource(self, resource_type: object) -> IdentifierField:
        """The field for resources of a type."""
        return self._resources.get(str(resource_type), self._resource)
