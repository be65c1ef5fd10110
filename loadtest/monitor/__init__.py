"""How many requests and labels a second one monitor process keeps up with."""
