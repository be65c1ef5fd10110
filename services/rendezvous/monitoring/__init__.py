"""The monitor: how well models do, by labels that come late, and what has changed since they were trained."""
