"""The monitor: how good models are, what moved, and whether one is better than another. Figures, tests, detectors."""
