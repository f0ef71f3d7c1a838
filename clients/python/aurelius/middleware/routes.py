"""Which route costs what: the longest prefix that fits a path says the class and the weight of its calls."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple


class Route(NamedTuple):
    """Calls of paths that begin with `prefix` (whole segments: /ml is not /mlops), and with one of `methods` if they are given.

    `cost` is how many calls each counts for, on top of the weight that the portal gives the class. Cost 0 looks and counts nothing.
    """

    prefix: str
    route_class: str = ""
    cost: int = 1
    methods: Collection[str] = ()


Chosen = tuple[str, int]
"""(route class, cost)"""
Chooser = Callable[[Any], Route]
EVERYTHING: Chosen = ("", 1)


class RouteTable:
    """Chooses by path and method. `skip` are whole paths, or prefixes that end with /*, that are not decided at all."""

    def __init__(self, routes: Iterable[Route], skip: Iterable[str]) -> None:
        self._routes = sorted(routes, key=lambda route: (-len(route.prefix), not route.methods))
        skipped = list(skip)
        self._skip = frozenset(path for path in skipped if not path.endswith("/*"))
        self._skip_below = tuple(path[:-1] for path in skipped if path.endswith("/*"))

    def skips(self, path: str) -> bool:
        return path in self._skip or (bool(self._skip_below) and path.startswith(self._skip_below))

    def choose(self, path: str, method: str) -> Chosen:
        for route in self._routes:
            prefix = route.prefix.rstrip("/")
            below = path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/")
            if below and (not route.methods or method in route.methods):
                return route.route_class, route.cost
        return EVERYTHING
