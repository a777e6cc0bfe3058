"""What training minimises, per scan and in fp32: alignment, disentanglement, segmentation."""
