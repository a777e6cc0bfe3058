"""A DICOM node: studies in from a scanner or a PACS, results back to it, and nothing lost on the way."""
