"""GPUs: what a tenant held, used and left idle; for operators the whole fleet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from tenants.api.documentation import example, operation
from tenants.api.fields import StrictText
from tenants.api.serializers import QuerySerializer
from tenants.api.views import OPERATOR, ApiView, TenantView
from tenants.models.apikey import Scope
from tenants.problems import FieldError, Invalid

from .. import periods
from ..gpu_use import fleet, held, idle
from ..gpu_use.energy import Factors
from ..gpu_use.held import Use
from ..gpu_use.settings import factors
from ..models import GpuDevice
from ..money import plain

TAGS = ["GPUs"]
LONGEST = timedelta(days=400)
MOST_DEVICES = 5_000


class GpusQuery(QuerySerializer):
    """Which days."""

    days = serializers.IntegerField(
        required=False, default=30, min_value=1, max_value=LONGEST.days, help_text="Local days, today included."
    )


class UseSerializer(serializers.Serializer[Any]):
    """GPU hours. `used`, `idle`, utilisation and energy are null where nothing is known; that is not zero."""

    held = serializers.CharField()
    known = serializers.CharField(help_text="The part of `held` for which the use is known.")
    used = serializers.CharField(allow_null=True)
    idle = serializers.CharField(allow_null=True, help_text="Held while less than 5 % of it was used.")
    utilisation = serializers.FloatField(allow_null=True, help_text="0 to 1, of what is known.")
    kwh = serializers.CharField(allow_null=True, help_text="What the GPUs drew × PUE.")
    co2e_grams = serializers.CharField(allow_null=True, help_text="null where no factor is set.")


class UseOfModelSerializer(UseSerializer):
    """One model on one day."""

    day = serializers.DateField()
    model = serializers.CharField()


class FactorsSerializer(serializers.Serializer[Any]):
    """What energy and CO₂e are made with."""

    pue = serializers.CharField()
    grams_per_kwh = serializers.CharField(allow_null=True)


class SilentSerializer(serializers.Serializer[Any]):
    """A node that has said nothing since."""

    node = serializers.CharField()
    since = serializers.DateTimeField()


class GpusSerializer(serializers.Serializer[Any]):
    """What collectors saw of a tenant's GPUs. Held is billed; what was used of it is shown."""

    tenant = serializers.CharField()
    time_zone = serializers.CharField()
    last_data_at = serializers.DateTimeField(
        allow_null=True, help_text="The newest hour with data; null: there never was any."
    )
    silent_nodes = SilentSerializer(many=True)
    factors = FactorsSerializer()
    total = UseSerializer()
    results = UseOfModelSerializer(many=True)


_USE = {
    "held": "24", "known": "24", "used": "16.8", "idle": "3", "utilisation": 0.7, "kwh": "12.48", "co2e_grams": "1397.76",
}  # fmt: skip
_GPUS = {
    "tenant": "acme", "time_zone": "Europe/Zurich", "last_data_at": "2026-07-15T11:00:00Z", "silent_nodes": [],
    "factors": {"pue": "1.3", "grams_per_kwh": "112"}, "total": _USE, "results": [{**_USE, "day": "2026-07-14", "model": "H100"}],
}  # fmt: skip


class GpusView(TenantView):
    """The GPUs of the tenant."""

    needs = {"GET": Scope.USAGE_READ}
    queries = {"GET": GpusQuery}

    @operation(
        "gpus_retrieve", "Read what was held, used and idle", query=GpusQuery, answer=GpusSerializer, tags=TAGS,
        examples=[example("One day", _GPUS)],
    )  # fmt: skip
    def get(self, request: Request, slug: str) -> Response:
        """By local day and GPU model, from the hours that collectors keep: whole GPUs, of the whole tenant. A MIG instance counts as its part."""
        now, zone = timezone.now(), self.tenant.time_zone
        last = periods.period_at(zone, now, "day")
        first = periods.day_period(zone, date.fromisoformat(last.key) - timedelta(days=self.params["days"] - 1))
        use = held.of_tenant(self.tenant, list(periods.covering(zone, first.start, last.end, "day")), now)
        co2 = factors()
        return Response(
            {
                "tenant": self.tenant.slug,
                "time_zone": zone,
                "last_data_at": use.last_hour,
                "silent_nodes": [{"node": each.node, "since": each.since} for each in use.silent],
                "factors": _factors(co2),
                "total": _use(use.total(), co2),
                "results": [
                    {
                        **_use(each.use, co2),
                        "day": periods.period_at(zone, each.start, "day").key,
                        "model": each.model,
                    }
                    for each in use.spent
                ],
            }
        )


class FleetQuery(QuerySerializer):
    """Which devices."""

    node = StrictText(required=False, max_length=120)
    model = StrictText(required=False, max_length=40)
    idle_minutes = serializers.IntegerField(required=False, default=30, min_value=1, max_value=20_160)


class PartSerializer(serializers.Serializer[Any]):
    """A part of a device. The parts of one sum to 1."""

    tenant = serializers.CharField(allow_null=True, help_text="null for `unattributed` and `free`.")
    kind = serializers.ChoiceField(choices=["held", "unattributed", "free"])
    by = serializers.CharField(allow_blank=True, help_text="Which step of attribution named the tenant.")
    share = serializers.FloatField()


class SeatSerializer(serializers.Serializer[Any]):
    """A device as it is now; nothing is said of one that nobody looks at any more."""

    node = serializers.CharField()
    index = serializers.IntegerField()
    uuid = serializers.CharField()
    model = serializers.CharField()
    fraction = serializers.CharField(help_text="Its part of a GPU: less than 1 for a MIG instance.")
    state = serializers.ChoiceField(choices=["ok", "unavailable", "error", "stale"])
    last_seen_at = serializers.DateTimeField()
    holders = PartSerializer(many=True)
    utilisation = serializers.FloatField(allow_null=True)
    watts = serializers.FloatField(allow_null=True)
    kwh_24h = serializers.CharField(allow_null=True)


class IdleSerializer(serializers.Serializer[Any]):
    """A GPU that is held and not used."""

    uuid = serializers.CharField()
    tenant = serializers.CharField()
    share = serializers.FloatField()
    idle_since = serializers.DateTimeField(help_text="No later than this.")


class FleetSerializer(serializers.Serializer[Any]):
    """The fleet."""

    as_of = serializers.DateTimeField()
    factors = FactorsSerializer()
    devices = SeatSerializer(many=True)
    idle = IdleSerializer(many=True)


_FLEET = {
    "as_of": "2026-07-15T12:00:00Z", "factors": {"pue": "1.3", "grams_per_kwh": None},
    "devices": [{
        "node": "gpu-a", "index": 0, "uuid": "GPU-1", "model": "H100", "fraction": "1", "state": "ok", "last_seen_at": "2026-07-15T11:59:40Z",
        "holders": [
            {"tenant": "acme", "kind": "held", "by": "container", "share": 0.5}, {"tenant": None, "kind": "free", "by": "", "share": 0.5},
        ],
        "utilisation": 0.42, "watts": 310, "kwh_24h": "9.4",
    }],
    "idle": [{"uuid": "GPU-7", "tenant": "acme", "share": 1, "idle_since": "2026-07-15T06:00:00Z"}],
}  # fmt: skip


class FleetView(ApiView):
    """All GPUs."""

    needs = {"GET": OPERATOR}
    queries = {"GET": FleetQuery}

    @operation(
        "fleet_retrieve", "Read the fleet", query=FleetQuery, answer=FleetSerializer, tags=TAGS, of_tenant=False,
        problems=["permission_denied"], examples=[example("One device", _FLEET)],
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Every device: who holds which part of it now, how busy it is, what it draws; and those that are held and not used. At most 5,000."""
        now = timezone.now()
        rows = GpuDevice.objects.order_by("node", "index", "uuid")
        rows = rows.filter(**{name: self.params[name] for name in ("node", "model") if name in self.params})
        devices = list(rows[: MOST_DEVICES + 1])
        if len(devices) > MOST_DEVICES:
            raise Invalid(
                FieldError(
                    "?node", "too_many", f"There are more than {MOST_DEVICES:,} devices: name a node or a model."
                )
            )
        co2 = factors()
        longer = timedelta(minutes=self.params["idle_minutes"])
        return Response(
            {
                "as_of": now,
                "factors": _factors(co2),
                "devices": [_seat(seat, co2) for seat in fleet.seats(devices, now)],
                "idle": [
                    {
                        "uuid": each.device.uuid,
                        "tenant": each.tenant,
                        "share": float(each.share),
                        "idle_since": each.since,
                    }
                    for each in idle.now_idle(now, longer, devices)
                ],
            }
        )


def _factors(co2: Factors) -> dict[str, Any]:
    return {
        "pue": plain(co2.pue),
        "grams_per_kwh": None if co2.grams_per_kwh is None else plain(co2.grams_per_kwh),
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(round(value, 6))


def _use(use: Use, co2: Factors) -> dict[str, Any]:
    known = bool(use.known)
    return {
        "held": plain(idle.hours(use.held)),
        "known": plain(idle.hours(use.known)),
        "used": plain(idle.hours(use.busy)) if known else None,
        "idle": plain(idle.hours(use.idle)) if known else None,
        "utilisation": use.utilisation,
        "kwh": _text(co2.kwh(use.joules)),
        "co2e_grams": _text(co2.co2e_grams(use.joules)),
    }


def _seat(seat: fleet.Seat, co2: Factors) -> Mapping[str, Any]:
    device = seat.device
    unknown = seat.stale or seat.lost
    parts = [
        {
            "tenant": tenant,
            "kind": "held" if tenant is not None else "unattributed",
            "by": seat.by.get(tenant, ""),
            "share": float(share),
        }
        for tenant, share in seat.division.held.items()
    ]
    if seat.division.free:
        parts.append({"tenant": None, "kind": "free", "by": "", "share": float(seat.division.free)})
    return {
        "node": device.node,
        "index": device.index,
        "uuid": device.uuid,
        "model": device.model,
        "fraction": plain(device.fraction),
        "state": "stale" if seat.stale else device.state,
        "last_seen_at": device.last_seen_at,
        "holders": [] if unknown else parts,
        "utilisation": None if unknown else seat.utilisation,
        "watts": None if unknown else seat.watts,
        "kwh_24h": _text(co2.kwh(seat.joules)),
    }
