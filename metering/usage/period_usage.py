"""Usage of a period out of the hourly rollups, summed to what rating and forecasting need: by day, or only between price changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from metering import memo, sql
from metering.models import Aggregation, Meter
from metering.periods import Period, covering
from tenants.models import Tenant

LEVEL = Aggregation.LEVEL


class Usage(NamedTuple):
    """What was used of a meter in [start, end) under the same dimensions.

    `micro` is as stored: micro base units of a sum, micro base units × seconds of a level; `factor` base units are one display unit.
    """

    meter: str
    factor: int
    is_level: bool
    micro: int
    start: datetime
    end: datetime
    dims: Mapping[str, str]


def by_day(tenant: Tenant, span: Period, cuts: Iterable[datetime], dimensions: Sequence[str]) -> list[Usage]:
    """A tenant's usage in `span` by day of its zone, cut at the instants `cuts` as well; of the dimensions only those named."""
    days = {max(day.start, span.start) for day in covering(span.zone, span.start, span.end, "day")}
    return between(tenant, sorted(days | set(cuts)), span.end, dimensions)


def between(tenant: Tenant, edges: Sequence[datetime], end: datetime, dimensions: Sequence[str]) -> list[Usage]:
    """A tenant's usage from the first edge to `end`, summed from each edge to the next."""
    meters = memo.meters()
    columns = "".join(", dims->>%s" for _ in dimensions)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT meter, width_bucket(hour, %s::timestamptz[]), sum(quantity_micro){columns} FROM metering_usagerollup
            WHERE tenant_id = %s AND hour >= %s AND hour < %s
            GROUP BY meter, 2{"".join(f", {4 + position}" for position in range(len(dimensions)))}
            """,  # noqa: S608  (only placeholders and positions vary)
            [list(edges), *dimensions, tenant.pk, edges[0], end],
        )
        rows = cursor.fetchall()
    until = [*edges[1:], end]
    return [
        _usage(meters[meter], int(micro), edges[bucket - 1], until[bucket - 1], dimensions, values)
        for meter, bucket, micro, *values in rows
        if meter in meters
    ]


def of_many(spans: Mapping[int, Period], cuts: Sequence[datetime], dimensions: Sequence[str]) -> dict[int, list[Usage]]:
    """Usage of many tenants, each in its own span, by tenant id: one query. All are cut at the same instants `cuts`."""
    return dict(zip(spans, of_spans(list(spans.items()), cuts, dimensions), strict=True))


def of_spans(
    spans: Sequence[tuple[int, Period]], cuts: Sequence[datetime], dimensions: Sequence[str]
) -> list[list[Usage]]:
    """For each (tenant id, span), what was used in it: one query. All are cut at the same instants `cuts`."""
    if not spans:
        return []
    meters = memo.meters()
    edges = sorted(set(cuts))
    bucket_of = "width_bucket(hour, %s::timestamptz[])" if edges else "0"  # a third of the time, if done for nothing
    found: dict[int, tuple[Period, list[Usage]]] = {tenant_id: (span, []) for tenant_id, span in spans}
    if len(found) == len(spans) and len({(span.start, span.end) for _, span in spans}) == 1:
        rows = _of_one_time(spans, bucket_of, edges, dimensions)
    else:
        found = {place: (span, []) for place, (_, span) in enumerate(spans, 1)}
        rows = _of_many_times(spans, bucket_of, edges, dimensions)
    units = {key: (it.display_factor, it.aggregation == LEVEL) for key, it in meters.items()}
    known: dict[tuple[str | None, ...], Mapping[str, str]] = {}
    for row in rows:
        (key, meter, bucket, micro), values = row[:4], row[4:]
        if meter not in units:
            continue
        dims = known.get(values)
        if dims is None:
            named = zip(dimensions, values, strict=True)
            dims = known[values] = {name: value for name, value in named if value is not None}
        span, used = found[key]
        start, end = span.start, span.end
        if edges:
            start = max(start, edges[bucket - 1]) if bucket else start
            end = min(end, edges[bucket]) if bucket < len(edges) else end
        used.append(Usage(meter, *units[meter], int(micro), start, end, dims))
    return [used for _, used in found.values()]


def _of_one_time(
    spans: Sequence[tuple[int, Period]], bucket_of: str, edges: Sequence[datetime], dimensions: Sequence[str]
) -> list[tuple[Any, ...]]:
    """(tenant id, meter, bucket, sum, dimensions …) where all spans are the same time of different tenants."""
    columns = "".join(", dims->>%s" for _ in dimensions)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT tenant_id, meter, {bucket_of}, sum(quantity_micro){columns} FROM metering_usagerollup
            WHERE tenant_id = ANY(%s::bigint[]) AND hour >= %s AND hour < %s
            GROUP BY tenant_id, meter, 3{"".join(f", {5 + position}" for position in range(len(dimensions)))}
            """,  # noqa: S608  (only placeholders and positions vary)
            [
                *([list(edges)] if edges else []),
                *dimensions,
                sql.ids(tenant_id for tenant_id, _ in spans),
                spans[0][1].start,
                spans[0][1].end,
            ],
        )
        return cursor.fetchall()


def _of_many_times(
    spans: Sequence[tuple[int, Period]], bucket_of: str, edges: Sequence[datetime], dimensions: Sequence[str]
) -> list[tuple[Any, ...]]:
    """(place of the span, meter, bucket, sum, dimensions …), each span a time of its own."""
    columns = "".join(", dims->>%s" for _ in dimensions)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT span.place, used.*
            FROM unnest(%s::bigint[], %s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY AS span (tenant_id, starts_at, ends_at, place)
            CROSS JOIN LATERAL (
                SELECT meter, {bucket_of}, sum(quantity_micro){columns} FROM metering_usagerollup rollup
                WHERE rollup.tenant_id = span.tenant_id AND hour >= span.starts_at AND hour < span.ends_at
                GROUP BY meter, 2{"".join(f", {4 + position}" for position in range(len(dimensions)))}
            ) used
            """,  # noqa: S608  (only placeholders and positions vary)
            [
                [tenant_id for tenant_id, _ in spans],
                [span.start for _, span in spans],
                [span.end for _, span in spans],
                *([list(edges)] if edges else []),
                *dimensions,
            ],
        )
        return cursor.fetchall()


def _usage(
    meter: Meter, micro: int, start: datetime, end: datetime, dimensions: Sequence[str], values: Sequence[str | None]
) -> Usage:
    dims = {name: value for name, value in zip(dimensions, values, strict=True) if value is not None}
    return Usage(meter.pk, meter.display_factor, meter.aggregation == Aggregation.LEVEL, micro, start, end, dims)
