"""From the database to Redis: reading what holds, publishing it, building what Redis lost; and the database's word on a key without Redis.

The database is the truth: Redis is published to after every commit, and compared with it every minute.
"""
