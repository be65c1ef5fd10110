"""What scenarios share that drive an endpoint themselves: its services, open-loop requests, and what came of them."""
