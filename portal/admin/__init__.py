"""The operators' pages that need more than one app: a tenant with its money, costs, the dashboard; and other packages' pages, arranged.

Django finds this package first and so registers everything; `portal.admin_site` answers what django-unfold asks.
"""

from . import exporting, gpu, packages, quota_requests, tenant

__all__ = ["exporting", "gpu", "packages", "quota_requests", "tenant"]
