"""Dashboards for Grafana as code: `python -m grafana` writes the JSON that Grafana is provisioned with."""
