"""Settings: a TOML file, ``PDP_...`` environment variables and flags, made into one frozen, validated object.

Each section is the settings object of the part it configures, so a setting is declared and documented once, where it
is used. Later sources win: defaults, file, environment, flags.
"""

from __future__ import annotations

import enum
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from pdp.api.settings import ApiSettings, AttributeServiceSettings, ExtAuthzSettings, Source
from pdp.attributes import RedisSettings
from pdp.audit import LogSettings
from pdp.core.errors import PdpError
from pdp.risk.settings import RiskSettings
from pdp.server.rpc import Limits, Tls
from pdp.server.supervisor import Transport
from pdp.signals.settings import SignalSettings
from pdp.telemetry.settings import TelemetrySettings
from pdp.watching import WatchSettings

ENV_PREFIX: Final = "PDP_"
_LISTS: Final = ("supported_obligations", "header_peers", "headers_to_remove")
_SOURCES: Final = ("subject", "session", "device", "purpose", "channel", "network", "emergency_reason")
_DELIMITER: Final = "__"


class ConfigError(PdpError):
    """Settings that cannot be used; the message names each one and what is wrong with it."""


def _listed(value: object) -> object:
    """Let a variable or flag give a list as texts parted by commas."""
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


class Engine(enum.StrEnum):
    """Which engine matches rules."""

    COMPILED = "compiled"
    REFERENCE = "reference"
    SHADOW = "shadow"


@dataclass(frozen=True, slots=True)
class ServerSection:
    """Where and how the service listens.

    Attributes:
        transport: ``envoy`` with Python inside it, ``grpcio``, or ``auto``: Envoy where it can run, grpcio elsewhere.
        listen: host:port for gRPC; on Envoy for HTTP as well.
        http: host:port for /healthz, /readyz, /metrics and the JSON interface.
        workers: processes that share the ports.
        callers: SPIFFE ids that may call when mTLS is on; empty admits every certificate of the client CA.
        insecure: permit a listener on a non-loopback address without TLS.
    """

    transport: Transport = Transport.AUTO
    listen: str = "127.0.0.1:50051"
    http: str = "127.0.0.1:8181"
    workers: int = 1
    callers: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class PolicySection:
    """Which policy decides, and by which engine.

    Attributes:
        folder: the policy folder: model.conf, schema.yaml, obligations.yaml, routes.yaml and policy/*.csv.
        engine: ``compiled``, ``reference`` (pycasbin itself), or ``shadow``: both, and the stricter answers.
        watch: seconds between looks for changed files; 0 looks once, and then follows roll-backs alone.
        source: where the policy comes from, if not the folder: a file NAME.bundle, ``https://...``, or
            ``git+URL#REF:PATH`` with a folder or a bundle at PATH.
        poll: seconds between questions to an HTTP server or git repository.
        source_headers: HTTP headers of those questions, such as an authorization.
        source_ca: PEM file of the authorities that may vouch for an HTTPS source; empty means the system's.
        bundle_keys: verifier keys, as texts or files, of those who may sign; any makes signatures compulsory.
        signatures: how many different signers a bundle needs; 0 means one where there are ``bundle_keys``, else none.
        checks: run a revision's own tests and invariants before it comes into force.
        state: folder of revisions to go back to, of what is held or on trial, and of each worker's status.
    """

    folder: Path = Path("policies")
    engine: Engine = Engine.COMPILED
    watch: float = 0.2
    source: str = ""
    poll: float = 10.0
    source_headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    source_ca: Path | None = None
    bundle_keys: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    signatures: int = 0
    checks: bool = False
    state: Path = Path("var/policy")

    def __post_init__(self) -> None:
        if self.watch < 0 or self.poll <= 0 or self.signatures < 0:
            raise ValueError("watch and signatures are not negative, and poll is positive")


class Config(BaseModel):
    """All settings. Frozen; a name it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: ServerSection = Field(default_factory=ServerSection)
    limits: Limits = Field(default_factory=Limits)
    tls: Tls | None = None
    policy: PolicySection = Field(default_factory=PolicySection)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    audit: LogSettings = Field(default_factory=LogSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    watch: WatchSettings = Field(default_factory=WatchSettings)
    ext_authz: ExtAuthzSettings = Field(default_factory=ExtAuthzSettings)
    attribute_service: AttributeServiceSettings = Field(default_factory=AttributeServiceSettings)
    signals: SignalSettings = Field(default_factory=SignalSettings)
    risk: RiskSettings = Field(default_factory=RiskSettings)

    @field_validator("audit", mode="before")
    @classmethod
    def _anchored(cls, value: object) -> object:
        """Let anchors be a text parted by commas."""
        if not isinstance(value, Mapping) or "anchors" not in value:
            return value
        return {**value, "anchors": _listed(value["anchors"])}

    @field_validator("ext_authz", mode="before")
    @classmethod
    def _readable(cls, value: object) -> object:
        """Let lists be texts parted by commas, and sources be written ``claim:sub``."""
        if not isinstance(value, Mapping):
            return value
        readers = dict.fromkeys(_SOURCES, _source_list) | dict.fromkeys(_LISTS, _listed)
        return {name: readers.get(name, _as_given)(part) for name, part in value.items()}


def _as_given(value: object) -> object:
    return value


def _source_list(value: object) -> object:
    items = _listed(value)
    if not isinstance(items, list | tuple):
        return items
    return tuple(Source.parse(item) if isinstance(item, str) else item for item in items)


def load(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> Config:
    """Put settings together.

    Args:
        file: a TOML file with a table a section, or None.
        environment: variables; ``PDP_REDIS__URL`` sets ``url`` of section ``redis``.
        flags: what the command line sets, ``section.name`` to value; None stands for not given.

    Raises:
        ConfigError: names every setting that is unknown or of no use.
    """
    merged: dict[str, Any] = _from_file(file) if file else {}
    for name, value in environment.items():
        section, delimiter, key = name.removeprefix(ENV_PREFIX).lower().partition(_DELIMITER)
        if name.startswith(ENV_PREFIX) and delimiter:
            _put(merged, section, key, value)
    for name, value in flags.items():
        section, _, key = name.partition(".")
        if value is not None:
            _put(merged, section, key, value)
    return validated(merged)


def validated(values: Mapping[str, Any]) -> Config:
    """Make settings of nested values.

    Raises:
        ConfigError: names every setting that is unknown or of no use; never shows a value, which may be a secret.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False))
        raise ConfigError("these settings cannot be used:\n  " + "\n  ".join(lines)) from None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {os.strerror(error.errno or 0)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def _put(merged: dict[str, Any], section: str, key: str, value: Any) -> None:
    table = merged.setdefault(section, {})
    if not key or not isinstance(table, dict):
        raise ConfigError(f"{section}.{key} is no setting; `pdp config` lists them")
    table[key] = value
