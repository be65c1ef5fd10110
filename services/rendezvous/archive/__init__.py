"""The decoy: writes down what models saw and said, and what turned out to be true; and makes training tables of it."""
