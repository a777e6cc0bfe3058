"""The files that a user gets from a prediction: result folder, numbers and report. No torch."""

from adn.report.dicom_seg import check_dicom_seg, check_is_dicom, write_dicom_seg
from adn.report.files import prediction_volumes, save_prediction
from adn.report.html import render_report, write_report
from adn.report.numbers import csv_row, result_dict, write_results_csv

__all__ = [
    "check_dicom_seg",
    "check_is_dicom",
    "csv_row",
    "prediction_volumes",
    "render_report",
    "result_dict",
    "save_prediction",
    "write_dicom_seg",
    "write_report",
    "write_results_csv",
]
