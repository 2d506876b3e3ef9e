"""Celery's face: thin jobs. What they do is decided in `worker`; here is only when, how often and under which name."""
