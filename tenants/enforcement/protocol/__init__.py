"""What Python and the Lua scripts tell each other: names of keys, packed forms, the scripts (lua/*.lua) and the command that decides.

No connection, no clock, no Django: bytes in, bytes out.
"""
