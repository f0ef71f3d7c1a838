"""The ledger: usage events and call counts on their way in (ingestion, counters), corrections, quarantine, hourly rollups, evidence.

What is booked is never edited; whoever changes an hour marks it (marks.py), and rollups.py computes it anew."""
