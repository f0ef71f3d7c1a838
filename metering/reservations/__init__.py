"""GPUs reserved before a job starts, kept alive by heartbeats, settled at what was really held.

    granting.reserve, granting.extend      ask for GPUs; refused with what is used, reserved and asked
    ending.heartbeat, settle, cancel, release    what becomes of a reservation; every verb may be repeated
    estimates.estimate                     what a job would cost now
    keeping.run                            the periodic part: lapse what is abandoned, book full hours, build Redis anew
    reading.running, reading.cost_so_far   for pages

PostgreSQL is the truth, Redis decides (tenants/enforcement/holds.py), book.py keeps them together. ADR 20 tells why and how.
"""
