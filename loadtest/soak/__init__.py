"""Half an hour of the same load: nothing may grow."""
