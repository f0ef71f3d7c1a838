"""What our modules tell beside a message (`extra=…`) is in the line, of the worker and beat too; what libraries put there is not."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
import structlog

from portal.logs import LOGGING


@pytest.fixture
def line() -> Any:
    described = dict(LOGGING["formatters"]["default"])
    formatter = structlog.stdlib.ProcessorFormatter(
        **{name: value for name, value in described.items() if name != "()"}
    )

    def write(name: str, **extra: Any) -> str:
        record = logging.LogRecord(name, logging.WARNING, __file__, 1, "redis is away", (), None)
        vars(record).update(extra)
        return formatter.format(record)

    return write


def test_ours_say_which_and_why(line):
    written = line("tenants.enforcement.deciding.failure", reason="refused", detail="10.0.0.7:6379: refused")
    assert "redis is away" in written
    assert "refused" in written
    assert "10.0.0.7:6379" in written


def test_a_secret_in_a_fact_is_redacted(line):
    assert "s3cr3t" not in line("metering.event_store", where="http://portal:s3cr3t@clickhouse:8123/portal")


def test_what_libraries_put_there_is_left_out(line):
    assert "canary" not in line("celery.app.trace", data={"args": "canary"}, request="canary")


@pytest.mark.parametrize("form", ["json", "plain"])
def test_a_worker_writes_the_same_lines(child, traced_environment, form):
    program = """
        import logging
        from portal.celery import app
        assert app.log.setup_logging_subsystem(loglevel="WARNING"), "Celery has put its own handlers in place of ours"
        logging.getLogger("metering.ledger.counters").warning("counters.not_flushed", extra={"detail": "10.0.0.7:6379: refused"})
        logging.getLogger("metering.x").warning("at http://portal:s3cr3t@10.0.0.7/")
        logging.getLogger("celery.worker").info("too much")
    """
    answer = child(program, {**traced_environment, "LOG_FORMAT": form})
    written = answer.stdout + answer.stderr
    assert "10.0.0.7:6379" in written
    assert "s3cr3t" not in written
    assert "too much" not in written
    if form == "json":
        (told,) = [json.loads(each) for each in written.splitlines() if "not_flushed" in each]
        assert told["level"] == "warning"
