from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractUser, Permission
from django.db.models import Q


class User(AbstractUser):
    """A person who signs in. Rights in a tenant come from Membership; `is_staff` marks platform staff."""

    class Meta(AbstractUser.Meta):
        pass

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        self._read_permissions()
        return super().has_perm(perm, obj)

    def has_module_perms(self, app_label: str) -> bool:
        self._read_permissions()
        return super().has_module_perms(app_label)

    def get_all_permissions(self, obj: Any = None) -> set[str]:
        self._read_permissions()
        return super().get_all_permissions(obj)

    def _read_permissions(self) -> None:
        """One statement for the person's own permissions and their groups', where Django's backend would ask two; kept where it looks."""
        if hasattr(self, "_perm_cache") or not self.is_active or self.is_superuser:
            return
        ours = Q(pk__in=self.user_permissions.values("pk")) | Q(group__in=self.groups.values("pk"))
        named = Permission.objects.filter(ours).order_by().distinct().values_list("content_type__app_label", "codename")
        self._perm_cache = {f"{app}.{codename}" for app, codename in named}
