from __future__ import annotations

import logging
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings"
logging.disable(logging.CRITICAL)  # peers log every refusal; that is not what is measured

from django.core.wsgi import get_wsgi_application  # noqa: E402 - the settings come first

application = get_wsgi_application()
