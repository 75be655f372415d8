"""Published studies, run again on a candidate pool."""
