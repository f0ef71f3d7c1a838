"""Who may do how much. `enforcement` is the hot path; docs/adr/0027-rooms-of-tenants.md says which room tells which story.

At the root stands what every room uses: access, audit, problems, signals, spans; months (periods, calendar); and the pure rules of limits.
"""
