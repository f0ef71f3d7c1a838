from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who signs in. Rights in a tenant come from Membership; `is_staff` marks platform staff."""

    class Meta(AbstractUser.Meta):
        pass
