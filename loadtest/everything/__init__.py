"""Everything that belongs to the report, and the report."""
