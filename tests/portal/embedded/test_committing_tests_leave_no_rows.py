"""A test that really commits leaves nothing behind, although append-only tables refuse Django's TRUNCATE."""

import pytest
from django.contrib.contenttypes.models import ContentType


@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.django_db(transaction=True)
def test_each_turn_starts_without_the_other(turn):
    assert not ContentType.objects.filter(app_label="left-over").exists()
    assert ContentType.objects.exists()  # the migrated rows are back
    ContentType.objects.create(app_label="left-over", model="x")
