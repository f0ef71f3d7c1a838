#!/usr/bin/env python
"""Django's command line for the portal."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    if sys.argv[1:2] == ["demo"]:  # makes its own settings, so it must not ask for any
        from portal.demo.__main__ import main

        sys.exit(main(sys.argv[2:]))
    node_only = sys.argv[1:2] == ["collect"]  # has neither database nor the portal's secrets
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.node_settings" if node_only else "portal.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # says itself what to set
        sys.exit(str(error))
