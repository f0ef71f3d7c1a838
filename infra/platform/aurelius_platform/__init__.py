"""A small medical-imaging platform in front of the portal: gateway, imaging, search, ml, and the worker of their queues.

A package of its own: it knows the portal over HTTP only, and the portal never imports it.
"""

VERSION = "0.1.0"
