from google.rpc import status_pb2 as _status_pb2
from pdp.v1 import decision_pb2 as _decision_pb2
from pdp.v1 import explanation_pb2 as _explanation_pb2
from pdp.v1 import request_pb2 as _request_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluateRequest(_message.Message):
    __slots__ = ("subject", "action", "resource", "context", "session_id", "device_id")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    subject: _request_pb2.Subject
    action: _request_pb2.Action
    resource: _request_pb2.Resource
    context: _request_pb2.Context
    session_id: str
    device_id: str
    def __init__(self, subject: _Optional[_Union[_request_pb2.Subject, _Mapping]] = ..., action: _Optional[_Union[_request_pb2.Action, _Mapping]] = ..., resource: _Optional[_Union[_request_pb2.Resource, _Mapping]] = ..., context: _Optional[_Union[_request_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ..., device_id: _Optional[str] = ...) -> None: ...

class EvaluateResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ...) -> None: ...

class BatchEvaluateRequest(_message.Message):
    __slots__ = ("defaults", "items")
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    defaults: EvaluateRequest
    items: _containers.RepeatedCompositeFieldContainer[EvaluateRequest]
    def __init__(self, defaults: _Optional[_Union[EvaluateRequest, _Mapping]] = ..., items: _Optional[_Iterable[_Union[EvaluateRequest, _Mapping]]] = ...) -> None: ...

class BatchEvaluateResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[BatchEvaluateResult]
    def __init__(self, results: _Optional[_Iterable[_Union[BatchEvaluateResult, _Mapping]]] = ...) -> None: ...

class BatchEvaluateResult(_message.Message):
    __slots__ = ("decision", "error")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    error: _status_pb2.Status
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class EvaluateStreamRequest(_message.Message):
    __slots__ = ("request_id", "request")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    request: EvaluateRequest
    def __init__(self, request_id: _Optional[str] = ..., request: _Optional[_Union[EvaluateRequest, _Mapping]] = ...) -> None: ...

class EvaluateStreamResponse(_message.Message):
    __slots__ = ("request_id", "decision", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    decision: _decision_pb2.Decision
    error: _status_pb2.Status
    def __init__(self, request_id: _Optional[str] = ..., decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., error: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: EvaluateRequest
    def __init__(self, request: _Optional[_Union[EvaluateRequest, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("decision", "rules")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    rules: _containers.RepeatedCompositeFieldContainer[_explanation_pb2.RuleTrace]
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., rules: _Optional[_Iterable[_Union[_explanation_pb2.RuleTrace, _Mapping]]] = ...) -> None: ...
