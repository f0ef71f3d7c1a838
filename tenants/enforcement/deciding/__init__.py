"""The decision: what a process remembers of keys, leases, what holds while Redis is away, and the two forms of the one enforcer.

`core` has the steps, `blocking` and `pipelined` ask Redis. No Django, no database.
"""
