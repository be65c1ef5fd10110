"""How many rows a second one scorer process scores, against its model and the decoding in a bare loop."""
