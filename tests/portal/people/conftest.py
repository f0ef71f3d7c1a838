from tests.portal.web.conftest import browse, cast  # noqa: F401  (the same people)
