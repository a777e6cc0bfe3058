"""A DICOM node: it receives studies from a scanner or a PACS and sends results back, losing nothing on the way."""
