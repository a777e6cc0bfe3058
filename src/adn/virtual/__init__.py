"""Virtual patients in tensor space: draw a plan, then render it."""
