"""Template tags of the portal: icons, formats, and the components that need a little arithmetic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django import template
from django.forms import BoundField
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from portal.web.drawing import components, icons
from portal.web.frame.theme import chosen_theme
from portal.web.writing import formats

register = template.Library()

register.filter("money", formats.money)
register.filter("money_short", formats.money_short)
register.filter("money_compact", formats.money_compact)
register.filter("unit_price", formats.unit_price)
register.filter("quantity", formats.quantity)
register.filter("number", formats.number)
register.filter("number_exact", formats.number_exact)
register.filter("compact", formats.compact)
register.filter("percent", formats.percent)
register.filter("reached", formats.reached)
register.filter("unit_name", formats.unit_name)
register.filter("month_name", formats.month)
register.filter("tone", components.tone)


@register.filter
def as_json(value: Any) -> str:
    """JSON text; the template escapes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Inline SVG of portal.web.drawing.icons."""
    return icons.svg(name, css)


@register.simple_tag
def brand_mark() -> SafeString:
    """The product's mark."""
    return icons.brand_svg()


@register.simple_tag(takes_context=True)
def theme(context: Context) -> str:
    """'light', 'dark' or '' (as the system has it), from the reader's cookie."""
    return chosen_theme(context.get("request"))


@register.simple_tag
def moment(value: datetime | None, zone: str = "UTC") -> str | SafeString:
    """<time> with date, time and zone; the title says it in UTC."""
    if value is None:
        return formats.NO_VALUE
    return _time(value, formats.moment(value, zone))


@register.simple_tag
def moment_soon(value: datetime | None, zone: str = "UTC", now: datetime | None = None) -> str | SafeString:
    """<time> for something near: no year."""
    if value is None:
        return formats.NO_VALUE
    return _time(value, formats.moment_soon(value, zone, now or timezone.now()))


@register.simple_tag
def clock(value: datetime, zone: str = "UTC") -> SafeString:
    """<time> with the time of day and the zone."""
    return _time(value, formats.clock(value, zone))


@register.simple_tag
def day(value: datetime | date | None, zone: str = "UTC", year: bool = True) -> str | SafeString:
    """<time> with the date in the zone."""
    if value is None:
        return formats.NO_VALUE
    text = formats.day(value, zone, year=year)
    return (
        _time(value, text)
        if isinstance(value, datetime)
        else format_html('<time datetime="{}">{}</time>', value.isoformat(), text)
    )


@register.simple_tag
def ago(value: datetime | None, zone: str = "UTC", now: datetime | None = None) -> str | SafeString:
    """<time> in words ('3 minutes ago'); the title has the moment in the zone."""
    if value is None:
        return formats.NO_VALUE
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        value.isoformat(),
        formats.moment(value, zone),
        formats.ago(value, now or timezone.now()),
    )


def _time(value: datetime, text: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', value.isoformat(), formats.moment(value, "UTC"), text
    )


@register.inclusion_tag("components/bar.html")
def bar(
    percent: Any, label: str, color: str = "", ghost: Any = None, size: str = "", plain: bool = False
) -> dict[str, Any]:
    """A bar for a share in percent; see components/bar.html."""
    value = None if percent is None else Decimal(percent)
    return {
        "bar": components.bar(
            value, label=label, color=color, ghost=None if ghost is None else Decimal(ghost), plain=plain
        ),
        "size": size,
    }


@register.inclusion_tag("components/sparkline.html")
def sparkline(values: Any, label: str, color: str = "1") -> dict[str, Any]:
    """A small line without axes; see components/sparkline.html."""
    return {"spark": components.sparkline(list(values), label=label, color=color)}


@register.inclusion_tag("components/money.html")
def amount(value: Any, currency: str = "") -> dict[str, Any]:
    """An amount of money, readable by machines too; see components/money.html. `value` is a Money, or a Decimal with `currency`."""
    plain = getattr(value, "amount", value)
    return {
        "text": formats.money(value, currency or None),
        "plain": plain,
        "currency": getattr(value, "currency", currency),
    }


@register.inclusion_tag("components/diff.html")
def diff(now: Decimal | None, before: Decimal | None) -> dict[str, Any]:
    """How a number moved; see components/diff.html."""
    return {"diff": components.diff(now, before)}


@register.simple_tag
def table_rows(table: components.DataTable) -> SafeString:
    """Head, rows and foot of components/data_table.html. Written here and not by a template: a chart's table has hundreds of cells."""
    head = format_html_join(
        "", '<th scope="col"{}>{}</th>', ((_right(each.number), each.label) for each in table.columns)
    )
    rows = format_html_join("", "<tr>{}</tr>", ((_cells(row),) for row in table.rows))
    foot: str | SafeString = ""
    if table.footer:
        foot = format_html('<tfoot><tr><th scope="row">{}</th>{}</tr></tfoot>', _("Total"), _numbers(table.footer))
    return format_html("<thead><tr>{}</tr></thead><tbody>{}</tbody>{}", head, rows, foot)


def _right(number: bool) -> SafeString:
    return SafeString(' class="r"' if number else "")


def _cells(row: Sequence[str]) -> SafeString:
    first, *others = row
    return format_html('<td class="whitespace-nowrap">{}</td>{}', first, _numbers(others))


def _numbers(texts: Sequence[str]) -> SafeString:
    return format_html_join("", '<td class="r">{}</td>', ((text,) for text in texts))


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, prefix: str = "", suffix: str = "", optional: bool | None = None) -> dict[str, Any]:
    """A form field with label, control, hint and errors; see components/field.html."""
    widget = bound.field.widget
    kind = getattr(widget, "input_type", "") or ("textarea" if "Textarea" in type(widget).__name__ else "select")
    if "CheckboxSelectMultiple" in type(widget).__name__ or "RadioSelect" in type(widget).__name__:
        kind = "choices"
    css = {"select": "select", "textarea": "textarea"}.get(kind, "input")
    described = " ".join(
        ident
        for ident, there in ((f"{bound.auto_id}-hint", bound.help_text), (f"{bound.auto_id}-error", bound.errors))
        if there
    )
    attrs: dict[str, Any] = (
        {"class": f"{css} {widget.attrs.get('class', '')}".strip()}
        if kind not in {"checkbox", "choices", "hidden"}
        else {}
    )
    if described:
        attrs["aria-describedby"] = described
    if bound.errors:
        attrs["aria-invalid"] = "true"
    return {
        "field": bound,
        "kind": kind,
        "control": bound.as_widget(attrs=attrs),
        "prefix": prefix,
        "suffix": suffix,
        "optional": not bound.field.required if optional is None else optional,
    }


@register.inclusion_tag("components/sort_header.html", takes_context=True)
def sort_header(context: Context, key: str, label: str, number: bool = False) -> dict[str, Any]:
    """A column head that sorts by a link (?sort=key, ?sort=-key); see components/sort_header.html."""
    request = context["request"]
    current = context.get("sort", "")
    query = request.GET.copy()
    query.pop("page", None)
    query["sort"] = f"-{key}" if current == key else key
    state = "ascending" if current == key else "descending" if current == f"-{key}" else "none"
    return {"label": label, "url": f"?{query.urlencode()}", "state": state, "number": number}


@register.simple_tag
def query_with(request: Any, **changes: Any) -> str:
    """The present query string with some parameters changed; None removes one."""
    query = request.GET.copy()
    for name, value in changes.items():
        if value is None or value == "":
            query.pop(name, None)
        else:
            query[name] = str(value)
    return f"?{query.urlencode()}" if query else "?"
