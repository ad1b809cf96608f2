"""The life of the service: what is made ready around the workers, and what is told to the person who started it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pdp.attributes import EmbeddedRedis, EmbeddedRedisError, RedisSettings
from pdp.audit import keys
from pdp.audit.commands import recording
from pdp.bootstrap.banner import Banner
from pdp.bootstrap.engines import factory_of
from pdp.bootstrap.policies import keeper_of
from pdp.bootstrap.sample import Sample
from pdp.config import Config, ConfigError
from pdp.core.errors import PdpError
from pdp.policy import PolicyKeeper
from pdp.server.application import Address, ServerSettings
from pdp.server.supervisor import StartError, Supervisor

_FACTORY: Final = "pdp.bootstrap.application:build"
_LOG_NAME: Final = "pdp"
_PSEUDONYM: Final = "pseudonym"
_SAMPLE: Final = "sample"


class LaunchError(PdpError):
    """The service cannot start; the message says what to do."""


async def run(config: Config, *, sample: bool) -> None:
    """Run the service until SIGINT or SIGTERM.

    Args:
        config: all settings.
        sample: whether to write the policy folder's sample attributes into the attribute store first.

    Raises:
        ConfigError: it would listen in the clear where it must not, or an address cannot be understood.
        LaunchError: a part that it stands on did not start.
    """
    _require_privacy(config)
    banner = Banner(config)
    # First of all, for what the workers import takes longer than all that they then wait for.
    async with _supervisor(config) as supervisor:
        banner.policy(await _look_at_policy(config))
        banner.keys(created=provide_keys(config.audit.keys))
        try:
            await _run(config, banner, supervisor, sample=sample)
        except StartError as error:
            raise LaunchError(str(error)) from error
    banner.stopped()


def _supervisor(config: Config) -> Supervisor:
    try:
        return Supervisor(config.server.transport, _settings(config), config.server.workers)
    except (RuntimeError, OSError) as error:
        raise LaunchError(str(error)) from error


async def _run(config: Config, banner: Banner, supervisor: Supervisor, *, sample: bool) -> None:
    async with _attribute_store(config, banner) as store, _sampled(config, banner, store, wanted=sample):
        values = _values(config.model_copy(update={"redis": store}))
        await supervisor.run(lambda: banner.ready(supervisor.settings, supervisor.transport), values)


@contextlib.asynccontextmanager
async def _sampled(config: Config, banner: Banner, store: RedisSettings, *, wanted: bool) -> AsyncIterator[None]:
    """Write the sample attributes, and keep them fresh meanwhile."""
    if not wanted:
        yield
        return
    with recording(config.audit, _SAMPLE) as put:
        records = Sample(store, config.policy, put)
        banner.sample(await records.load())
        keeping = asyncio.create_task(records.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])


def _values(config: Config) -> Mapping[str, Any]:
    values: Mapping[str, Any] = config.model_dump(mode="json", fallback=dict, warnings=False)
    return values


def _settings(config: Config) -> ServerSettings:
    return ServerSettings(
        factory=_FACTORY,
        settings={},
        listen=_address("server.listen", config.server.listen),
        http=_address("server.http", config.server.http) if config.server.http else None,
        limits=config.limits,
        tls=config.tls,
    )


async def _look_at_policy(config: Config) -> PolicyKeeper:
    """Read the policy once for the banner; a refused one is told, and the service waits for a better one."""
    keeper = keeper_of(config.policy, factory_of(config.policy.engine))
    await keeper.reload()
    return keeper


def provide_keys(folder: Path) -> bool:
    """Make keys for the decision log where there are none, so that no record is ever unsigned."""
    if (folder / keys.SIGNING).exists():
        return False
    keys.generate_signing(folder, _LOG_NAME)
    keys.generate_secret(folder, _PSEUDONYM)
    return True


@contextlib.asynccontextmanager
async def _attribute_store(config: Config, banner: Banner) -> AsyncIterator[RedisSettings]:
    if config.redis.url:
        banner.redis(embedded=False)
        yield config.redis
        return
    try:
        embedded = EmbeddedRedis(announced=True)
        await embedded.start()
    except EmbeddedRedisError as error:
        raise LaunchError(str(error)) from error
    banner.redis(embedded=True)
    try:
        yield replace(config.redis, url=embedded.url)
    finally:
        await embedded.stop()


def _require_privacy(config: Config) -> None:
    if config.tls or config.server.insecure:
        return
    for name in ("listen", "http"):
        if text := getattr(config.server, name):
            address = _address(f"server.{name}", text)
            if not _is_loopback(address.host):
                raise ConfigError(
                    f"server.{name}: {text} is not a loopback address and there is no TLS: give [tls] certificate "
                    "and private_key, or say --insecure"
                )


def _address(name: str, text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise ConfigError(f"{name}: {text!r} is not host:port")
    return Address(host.strip("[]"), int(port))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
