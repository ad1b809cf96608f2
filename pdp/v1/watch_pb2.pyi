import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.rpc import status_pb2 as _status_pb2
from pdp.v1 import decision_pb2 as _decision_pb2
from pdp.v1 import policy_decision_pb2 as _policy_decision_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchCause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_CAUSE_UNSPECIFIED: _ClassVar[WatchCause]
    WATCH_CAUSE_REGISTERED: _ClassVar[WatchCause]
    WATCH_CAUSE_ATTRIBUTES: _ClassVar[WatchCause]
    WATCH_CAUSE_POLICY: _ClassVar[WatchCause]
    WATCH_CAUSE_TIME: _ClassVar[WatchCause]
    WATCH_CAUSE_STORE: _ClassVar[WatchCause]

class WatchResyncReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WATCH_RESYNC_REASON_UNSPECIFIED: _ClassVar[WatchResyncReason]
    WATCH_RESYNC_REASON_OVERLOAD: _ClassVar[WatchResyncReason]
WATCH_CAUSE_UNSPECIFIED: WatchCause
WATCH_CAUSE_REGISTERED: WatchCause
WATCH_CAUSE_ATTRIBUTES: WatchCause
WATCH_CAUSE_POLICY: WatchCause
WATCH_CAUSE_TIME: WatchCause
WATCH_CAUSE_STORE: WatchCause
WATCH_RESYNC_REASON_UNSPECIFIED: WatchResyncReason
WATCH_RESYNC_REASON_OVERLOAD: WatchResyncReason

class WatchDecisionsRequest(_message.Message):
    __slots__ = ("open", "register", "unregister", "ping")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    REGISTER_FIELD_NUMBER: _ClassVar[int]
    UNREGISTER_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    open: WatchOpen
    register: WatchRegister
    unregister: WatchUnregister
    ping: WatchPing
    def __init__(self, open: _Optional[_Union[WatchOpen, _Mapping]] = ..., register: _Optional[_Union[WatchRegister, _Mapping]] = ..., unregister: _Optional[_Union[WatchUnregister, _Mapping]] = ..., ping: _Optional[_Union[WatchPing, _Mapping]] = ...) -> None: ...

class WatchOpen(_message.Message):
    __slots__ = ("epoch", "sequence")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    sequence: int
    def __init__(self, epoch: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class WatchRegister(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[WatchedRequest]
    def __init__(self, items: _Optional[_Iterable[_Union[WatchedRequest, _Mapping]]] = ...) -> None: ...

class WatchedRequest(_message.Message):
    __slots__ = ("watch_id", "request")
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    request: _policy_decision_pb2.EvaluateRequest
    def __init__(self, watch_id: _Optional[int] = ..., request: _Optional[_Union[_policy_decision_pb2.EvaluateRequest, _Mapping]] = ...) -> None: ...

class WatchUnregister(_message.Message):
    __slots__ = ("watch_ids",)
    WATCH_IDS_FIELD_NUMBER: _ClassVar[int]
    watch_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, watch_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class WatchPing(_message.Message):
    __slots__ = ("nonce",)
    NONCE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    def __init__(self, nonce: _Optional[int] = ...) -> None: ...

class WatchDecisionsResponse(_message.Message):
    __slots__ = ("sequence", "opened", "decision", "resync", "pong")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OPENED_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RESYNC_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    opened: WatchOpened
    decision: WatchedDecision
    resync: WatchResync
    pong: WatchPong
    def __init__(self, sequence: _Optional[int] = ..., opened: _Optional[_Union[WatchOpened, _Mapping]] = ..., decision: _Optional[_Union[WatchedDecision, _Mapping]] = ..., resync: _Optional[_Union[WatchResync, _Mapping]] = ..., pong: _Optional[_Union[WatchPong, _Mapping]] = ...) -> None: ...

class WatchOpened(_message.Message):
    __slots__ = ("epoch", "resumed")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    resumed: bool
    def __init__(self, epoch: _Optional[str] = ..., resumed: _Optional[bool] = ...) -> None: ...

class WatchedDecision(_message.Message):
    __slots__ = ("watch_id", "decision", "error", "cause", "entity")
    WATCH_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    watch_id: int
    decision: _decision_pb2.Decision
    error: _status_pb2.Status
    cause: WatchCause
    entity: _decision_pb2.Entity
    def __init__(self, watch_id: _Optional[int] = ..., decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., cause: _Optional[_Union[WatchCause, str]] = ..., entity: _Optional[_Union[_decision_pb2.Entity, str]] = ...) -> None: ...

class WatchResync(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: WatchResyncReason
    def __init__(self, reason: _Optional[_Union[WatchResyncReason, str]] = ...) -> None: ...

class WatchPong(_message.Message):
    __slots__ = ("nonce", "age")
    NONCE_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    nonce: int
    age: _duration_pb2.Duration
    def __init__(self, nonce: _Optional[int] = ..., age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
