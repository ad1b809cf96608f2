import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_ALLOW: _ClassVar[Effect]
    EFFECT_DENY: _ClassVar[Effect]

class Entity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENTITY_UNSPECIFIED: _ClassVar[Entity]
    ENTITY_SUBJECT: _ClassVar[Entity]
    ENTITY_DEVICE: _ClassVar[Entity]
    ENTITY_SESSION: _ClassVar[Entity]
    ENTITY_RESOURCE: _ClassVar[Entity]
    ENTITY_CONTEXT: _ClassVar[Entity]
EFFECT_UNSPECIFIED: Effect
EFFECT_ALLOW: Effect
EFFECT_DENY: Effect
ENTITY_UNSPECIFIED: Entity
ENTITY_SUBJECT: Entity
ENTITY_DEVICE: Entity
ENTITY_SESSION: Entity
ENTITY_RESOURCE: Entity
ENTITY_CONTEXT: Entity

class Decision(_message.Message):
    __slots__ = ("decision_id", "effect", "reasons", "rule_ids", "obligations", "policy_revision", "attribute_uses", "decided_at", "valid_until", "trace_id", "step_up")
    DECISION_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    RULE_IDS_FIELD_NUMBER: _ClassVar[int]
    OBLIGATIONS_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTE_USES_FIELD_NUMBER: _ClassVar[int]
    DECIDED_AT_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_UP_FIELD_NUMBER: _ClassVar[int]
    decision_id: str
    effect: Effect
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    rule_ids: _containers.RepeatedScalarFieldContainer[str]
    obligations: _containers.RepeatedCompositeFieldContainer[Obligation]
    policy_revision: str
    attribute_uses: _containers.RepeatedCompositeFieldContainer[AttributeUse]
    decided_at: _timestamp_pb2.Timestamp
    valid_until: _timestamp_pb2.Timestamp
    trace_id: str
    step_up: StepUp
    def __init__(self, decision_id: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., rule_ids: _Optional[_Iterable[str]] = ..., obligations: _Optional[_Iterable[_Union[Obligation, _Mapping]]] = ..., policy_revision: _Optional[str] = ..., attribute_uses: _Optional[_Iterable[_Union[AttributeUse, _Mapping]]] = ..., decided_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., trace_id: _Optional[str] = ..., step_up: _Optional[_Union[StepUp, _Mapping]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "about")
    CODE_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    code: str
    about: str
    def __init__(self, code: _Optional[str] = ..., about: _Optional[str] = ...) -> None: ...

class Obligation(_message.Message):
    __slots__ = ("id", "type", "mandatory", "properties")
    class PropertiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MANDATORY_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    mandatory: bool
    properties: _containers.ScalarMap[str, str]
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., mandatory: _Optional[bool] = ..., properties: _Optional[_Mapping[str, str]] = ...) -> None: ...

class AttributeUse(_message.Message):
    __slots__ = ("entity", "version", "issued_at", "age")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    entity: Entity
    version: int
    issued_at: _timestamp_pb2.Timestamp
    age: _duration_pb2.Duration
    def __init__(self, entity: _Optional[_Union[Entity, str]] = ..., version: _Optional[int] = ..., issued_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StepUp(_message.Message):
    __slots__ = ("acr_values", "max_age")
    ACR_VALUES_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    acr_values: _containers.RepeatedScalarFieldContainer[str]
    max_age: _duration_pb2.Duration
    def __init__(self, acr_values: _Optional[_Iterable[str]] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
