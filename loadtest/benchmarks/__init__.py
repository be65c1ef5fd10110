"""What the pure core costs, for developers: `make bench`. Seconds of one machine; limits are counted in tests/unit."""
