"""Dashboards as code: `make dashboards` writes infra/observability/dashboards/*.json from here; a test fails when they differ."""
