"""The only place that picks real collaborators and joins them to use cases; for the entry points."""
