"""What can decide: the decision endpoint over HTTP, or the enforcement core in this process on Redis."""

from .aio import AsyncHttpDecider
from .http import HttpDecider
from .redis import AsyncRedisDecider, RedisDecider

__all__ = ["AsyncHttpDecider", "AsyncRedisDecider", "HttpDecider", "RedisDecider"]
