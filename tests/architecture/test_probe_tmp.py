import pytest
from tests.architecture.test_every_api_route_is_in_the_matrix import *
RES={}
@pytest.mark.parametrize("name", PRINCIPALS)
def test_probe(callers, cast, name):
    key_id = apikeys.create(cast.acme, name="Target", scopes=["usage:read"], by=None, actor="system:test").key.key_id
    c = PRINCIPALS[name](callers)
    import json, os
    with open("/tmp/probe.jsonl","a") as f:
        for r, ms in ROUTES.items():
            for m, g in ms.items():
                with transaction.atomic():
                    s = c.send(m, g.path("acme", key_id=key_id), g.body).status_code
                    transaction.set_rollback(True)
                f.write(json.dumps([name, r, m, s])+"\n")
from django.db import transaction
