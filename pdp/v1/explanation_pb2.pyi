from google.protobuf import struct_pb2 as _struct_pb2
from pdp.v1 import decision_pb2 as _decision_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_TRUE: _ClassVar[Outcome]
    OUTCOME_FALSE: _ClassVar[Outcome]
    OUTCOME_UNKNOWN: _ClassVar[Outcome]

class Disclosure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISCLOSURE_UNSPECIFIED: _ClassVar[Disclosure]
    DISCLOSURE_CLEAR: _ClassVar[Disclosure]
    DISCLOSURE_PSEUDONYM: _ClassVar[Disclosure]
    DISCLOSURE_OMITTED: _ClassVar[Disclosure]
    DISCLOSURE_UNUSABLE: _ClassVar[Disclosure]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_TRUE: Outcome
OUTCOME_FALSE: Outcome
OUTCOME_UNKNOWN: Outcome
DISCLOSURE_UNSPECIFIED: Disclosure
DISCLOSURE_CLEAR: Disclosure
DISCLOSURE_PSEUDONYM: Disclosure
DISCLOSURE_OMITTED: Disclosure
DISCLOSURE_UNUSABLE: Disclosure

class RuleTrace(_message.Message):
    __slots__ = ("rule_id", "effect", "role", "action", "resource", "basis", "file", "line", "outcome", "conditions")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    effect: _decision_pb2.Effect
    role: str
    action: str
    resource: str
    basis: str
    file: str
    line: int
    outcome: Outcome
    conditions: _containers.RepeatedCompositeFieldContainer[ConditionTrace]
    def __init__(self, rule_id: _Optional[str] = ..., effect: _Optional[_Union[_decision_pb2.Effect, str]] = ..., role: _Optional[str] = ..., action: _Optional[str] = ..., resource: _Optional[str] = ..., basis: _Optional[str] = ..., file: _Optional[str] = ..., line: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., conditions: _Optional[_Iterable[_Union[ConditionTrace, _Mapping]]] = ...) -> None: ...

class ConditionTrace(_message.Message):
    __slots__ = ("text", "outcome", "values")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    text: str
    outcome: Outcome
    values: _containers.RepeatedCompositeFieldContainer[AttributeValue]
    def __init__(self, text: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., values: _Optional[_Iterable[_Union[AttributeValue, _Mapping]]] = ...) -> None: ...

class AttributeValue(_message.Message):
    __slots__ = ("path", "disclosure", "value")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DISCLOSURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    path: str
    disclosure: Disclosure
    value: _struct_pb2.Value
    def __init__(self, path: _Optional[str] = ..., disclosure: _Optional[_Union[Disclosure, str]] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ...) -> None: ...
