"""Connections to Redis: one server or a cluster, blocking or on asyncio, each proved by a handshake. No rule of limits lives here.

`control` is the connection of this Django process for everything but decisions; nothing else here knows Django.
"""
