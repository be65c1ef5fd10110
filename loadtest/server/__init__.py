"""How many requests a second one server process decides, with how many models, and at what price each."""
