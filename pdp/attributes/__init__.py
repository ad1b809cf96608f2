"""The policy information point: attributes from Redis, kept near and kept right."""

from pdp.attributes.announcement import announced_url
from pdp.attributes.embedded import EmbeddedRedis, find_server
from pdp.attributes.errors import AttributesInvalidError, EmbeddedRedisError, EntityUnknownError
from pdp.attributes.file import read_file
from pdp.attributes.settings import RedisSettings
from pdp.attributes.source import RedisAttributes
from pdp.attributes.stats import AttributeStats
from pdp.attributes.writer import AttributeWriter, open_writer

__all__ = [
    "AttributeStats",
    "AttributeWriter",
    "AttributesInvalidError",
    "EmbeddedRedis",
    "EmbeddedRedisError",
    "EntityUnknownError",
    "RedisAttributes",
    "RedisSettings",
    "announced_url",
    "find_server",
    "open_writer",
    "read_file",
]
