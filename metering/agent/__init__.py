"""`manage.py collect`: the collectors of a node that has neither database nor Celery. Reports go to the API through a buffer on disk."""
