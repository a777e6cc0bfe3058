"""From a scan to its infarct: weights, the pipeline through the networks, and the way back."""
