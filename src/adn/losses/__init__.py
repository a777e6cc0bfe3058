"""Loss functions, per scan and in fp32: alignment, disentanglement, segmentation."""
