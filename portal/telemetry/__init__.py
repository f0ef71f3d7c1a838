"""What the product tells about itself: traces (OpenTelemetry), metrics (Prometheus), and logs that name their trace.

    setup.py       tracing on or off, by settings; sampling.py, exporting.py, database.py, tiers.py are its parts
    redaction.py   what looks like a secret never leaves, neither in a span nor in a log line
    metrics.py     metrics of processes and services; vitals.py asks the machine, work.py listens to Celery
    business.py    what the database knows, as a page; server.py serves pages where there is no web server
    catalogue.py   docs/metrics.md

Own spans are made with `tenants.spans`, in every app.
"""

from __future__ import annotations


def begin() -> None:
    """Start what this process shall tell about itself; called when Django is ready."""
    import logging

    from portal.telemetry import config, lines, setup, vitals, work
    from tenants import exposition

    logging.getLogger().addHandler(lines.Counting())
    work.listen()
    role = config.role()
    if role in {"web", "decision"}:
        exposition.add(vitals.Vitals(role))
        vitals.watch()
    setup.start()
