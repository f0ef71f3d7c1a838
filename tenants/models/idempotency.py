from __future__ import annotations

from django.db import models


class IdempotencyRecord(models.Model):
    """The answer to a write that carried an Idempotency-Key, kept so that a retry gets the same answer and no second effect.

    `principal` is the key, operator token or person that wrote. The row is written in the transaction of the write itself; while that runs,
    an advisory lock stands for it (tenants/idempotency.py).
    """

    tenant = models.ForeignKey("tenants.Tenant", null=True, on_delete=models.CASCADE, related_name="+")
    principal = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="tenants_idempotency_principal_key")]
        indexes = [models.Index(fields=["created_at"], name="tenants_idempotency_age")]

    def __str__(self) -> str:
        return f"{self.principal}: {self.key}"
