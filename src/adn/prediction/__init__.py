"""From a scan to its infarct: weights, the road through the networks, and back."""
