"""`aurelius`: reserve, keep alive and settle GPUs from scripts."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Sequence
from typing import Any

from .client import Client, Problem, Refused, Unavailable
from .reservations import Reservation, estimate, reserve

DONE, USAGE, REFUSED, UNAVAILABLE = 0, 2, 3, 4
NOT_EXECUTABLE, NOT_FOUND, INTERRUPTED, NO_READER = 126, 127, 130, 141
PAGE = 500
LATER = frozenset({429, 500, 502, 503, 504})
"""Answers that may be another one later: as if the portal could not be asked."""


class _NotStarted(Exception):
    """The command of `run` cannot be started; `status` as a shell says it."""

    def __init__(self, text: str, missing: bool) -> None:
        super().__init__(text)
        self.status = NOT_FOUND if missing else NOT_EXECUTABLE


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 done, 2 wrong usage, 3 refused, 4 the portal cannot be asked now; of `run` the job's own. The README has the table."""
    options = _parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Who read the output has seen enough. What is left in the buffer must not complain when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER
    except KeyboardInterrupt:
        return INTERRUPTED
    except _NotStarted as failure:
        print(f"aurelius: {failure}", file=sys.stderr)
        return failure.status
    except Refused as refusal:
        print(f"aurelius: {refusal}", file=sys.stderr)
        if refusal.more_url:
            print(f"aurelius: ask for more at {refusal.more_url}", file=sys.stderr)
        return REFUSED
    except Problem as problem:
        print(f"aurelius: {problem}", file=sys.stderr)
        for error in problem.body.get("errors", []):
            print(f"aurelius: {error.get('pointer')}: {error.get('detail')}", file=sys.stderr)
        return UNAVAILABLE if problem.status in LATER else USAGE
    except Unavailable as error:
        print(f"aurelius: {error}", file=sys.stderr)
        return UNAVAILABLE
    except (ValueError, OSError) as error:
        print(f"aurelius: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aurelius", description="Reserve GPUs before a job starts, settle them when it ends."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        found = verbs.add_parser(name, help=text, description=text)
        found.set_defaults(run=run)
        return found

    for name, run, text in (
        ("estimate", _estimate, "say what a job would cost"),
        ("reserve", _reserve, "reserve GPUs and print the id"),
        ("run", _run, "reserve GPUs, run a command with them, settle"),
    ):
        job = verb(name, run, text)
        job.add_argument("--gpus", type=int, required=True)
        job.add_argument("--model", required=True, help="as prices name it, such as H100")
        job.add_argument("--hours", required=True, help="wall-clock hours that the job is expected to take")
        job.add_argument("--fraction", default="1", help="the part of each GPU")
        job.add_argument("--label", action="append", default=[], metavar="NAME=VALUE")
        if name != "estimate":
            job.add_argument("--ttl", type=int, metavar="SECONDS", help="lapses without a heartbeat for so long")
        if name == "reserve":
            job.add_argument(
                "--idempotency-key", default="", help="the same key reserves once, however often it is tried"
            )
        if name == "run":
            job.add_argument("command", nargs=argparse.REMAINDER, help="-- and the command")
    for name, run, text in (
        ("show", _show, "print a reservation"),
        ("cancel", _end, "give a reservation up"),
        ("settle", _end, "settle a reservation at what was really held"),
        ("extend", _extend, "expect a job to take longer"),
        ("heartbeat", _heartbeat, "keep a reservation alive"),
    ):
        one = verb(name, run, text)
        one.add_argument("id")
        one.set_defaults(verb=name)
        if name == "settle":
            one.add_argument("--seconds", type=float, help="since it was reserved; until now if left out")
        if name == "extend":
            one.add_argument("--hours", required=True, help="in all")
        if name == "heartbeat":
            one.add_argument(
                "--every", type=_seconds, help="go on sending one every so many seconds, until the reservation ends"
            )
    listing = verb("list", _list, "print the tenant's reservations, one JSON object a line")
    listing.add_argument("--state", default="held")
    return parser


def _job(options: argparse.Namespace) -> dict[str, Any]:
    labels = dict(_label(text) for text in options.label)
    return {
        "gpus": options.gpus,
        "gpu_model": options.model,
        "expected_hours": options.hours,
        "fraction": options.fraction,
        "labels": labels,
        **({"ttl_seconds": options.ttl} if getattr(options, "ttl", None) else {}),
    }


def _seconds(text: str) -> float:
    found = float(text)
    if not 0 < found < 86_400:
        raise ValueError
    return found


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--label {text}: write NAME=VALUE")
    return name, value


def _estimate(options: argparse.Namespace) -> int:
    found = estimate(Client(), **_job(options))
    print(f"{found.gpu_hours:g} GPU hours, {found.amount} {found.currency} ({found.price_version})")
    return DONE


def _reserve(options: argparse.Namespace) -> int:
    print(Reservation.make(Client(), idempotency_key=options.idempotency_key, **_job(options)).id)
    return DONE


def _run(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise ValueError("say what to run: aurelius run … -- command")
    with reserve(**_job(options)) as held:
        try:
            child = subprocess.Popen(command, env=held.environment)
        except OSError as error:  # leaving the block so cancels: nothing ran, so nothing is held
            raise _NotStarted(f"{command[0]}: {error.strerror}", isinstance(error, FileNotFoundError)) from None
        held.started()
        before = {
            number: signal.signal(number, lambda got, _: child.send_signal(got))
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            status = child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _show(options: argparse.Namespace) -> int:
    print(json.dumps(Reservation.get(Client(), options.id).data, indent=1))
    return DONE


def _end(options: argparse.Namespace) -> int:
    held = Reservation(Client(), {"id": options.id})
    if options.verb == "cancel":
        held.cancel()
    else:
        held.settle(options.seconds)
    print(f"{held.state}: {held.data['gpu_hours']} GPU hours, {held.data['cost']} {held.data['currency']}")
    return DONE


def _extend(options: argparse.Namespace) -> int:
    held = Reservation(Client(), {"id": options.id})
    held.extend(options.hours)
    print(f"expected to end {held.data['expected_end']}")
    return DONE


def _heartbeat(options: argparse.Namespace) -> int:
    held = Reservation(Client(), {"id": options.id})
    while True:
        try:
            held.heartbeat()
        except Problem as problem:
            if options.every and problem.code == "conflict":
                return DONE  # it was settled: there is nothing to keep alive any more
            if not options.every or problem.status not in LATER:
                raise
            print(f"aurelius: {problem}", file=sys.stderr)  # the next one may get through: the job runs on
        except Unavailable as error:
            if not options.every:
                raise
            print(f"aurelius: {error}", file=sys.stderr)
        if not options.every:
            return DONE
        time.sleep(options.every)


def _list(options: argparse.Namespace) -> int:
    client, number, more = Client(), 1, True
    while more:
        asked = urllib.parse.urlencode({"page_size": PAGE, "page": number, "state": options.state})
        page = client.get(f"reservations?{asked}")
        for row in page["results"]:
            print(json.dumps(row))
        number, more = number + 1, page["next"] is not None
    return DONE


if __name__ == "__main__":
    sys.exit(main())
