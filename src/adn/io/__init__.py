"""Reading head CTs and writing results: NIfTI, NRRD, MetaImage, DICOM."""

from adn.io.atomic import atomic_path
from adn.io.names import case_name, case_names
from adn.io.nifti import read_volume, write_volume
from adn.io.scan import open_scan, open_series

__all__ = ["atomic_path", "case_name", "case_names", "open_scan", "open_series", "read_volume", "write_volume"]
