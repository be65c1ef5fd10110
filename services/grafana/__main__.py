"""`python -m grafana [FOLDER]`: write every dashboard's JSON."""

from __future__ import annotations

import sys
from pathlib import Path

from grafana.queries import DASHBOARDS
from grafana.written import written

if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DASHBOARDS
    for name, text in written().items():
        (folder / name).write_text(text)
        sys.stdout.write(f"{folder / name}\n")
