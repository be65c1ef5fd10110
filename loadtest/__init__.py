"""How fast it is, against the least that any system of its shape must do: `python -m loadtest SCENARIO`.

README.md says how each figure is measured, and what could bias it.
"""
