"""The policy information point: attributes from Redis, kept near and kept right."""

from pdp.attributes.embedded import EmbeddedRedis
from pdp.attributes.settings import RedisSettings
from pdp.attributes.source import RedisAttributes
from pdp.attributes.stats import AttributeStats

__all__ = ["AttributeStats", "EmbeddedRedis", "RedisAttributes", "RedisSettings"]
