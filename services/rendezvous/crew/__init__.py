"""A scorer's process for each version that is deployed: started, started again, stopped, as control says."""
