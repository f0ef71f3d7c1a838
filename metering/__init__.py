"""What was done and what it costs. docs/adr/0023-rooms-of-metering.md says which room tells which story.

At the root stands what every room uses (money, periods, jobs, memo, sql) and what serves the processes (metrics, monitoring, housekeeping).
"""
