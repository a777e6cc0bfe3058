"""What the module AdnStroke does without Slicer or Qt, so that it can be tested without them."""
