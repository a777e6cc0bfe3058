"""Toy data for the benchmark scripts that read published data: label maps, slices, series, an atlas."""

import csv
import shutil

import nibabel as nib
import numpy as np
from PIL import Image

from adn.virtual.library import _priors
from adn.virtual.template import template_codes
from adn.virtual.tissue_codes import Tissue

# FreeSurfer's labels of tissue codes, left and right; caudate for deep grey matter
LABELS = {
    Tissue.GM: (3, 42), Tissue.DEEP_GM: (11, 50), Tissue.WM: (2, 41), Tissue.STEM: (16, 16), Tissue.CSF: (24, 24),
    Tissue.VENTRICLE: (4, 43), Tissue.VESSEL: (30, 62), Tissue.CHOROID: (136, 137), Tissue.BONE: (515, 515),
    Tissue.SOFT: (507, 507), Tissue.SCALP: (511, 511), Tissue.SINUS: (514, 514), Tissue.MARROW: (516, 516),
    Tissue.EYE: (506, 506),
}  # fmt: skip
THIRD_VENTRICLE = 14


def write_heads(folder):
    """One label map: the head that the package builds around the MNI template, with a third ventricle of its own."""
    grey, white, grid = _priors()
    right, anterior, superior = grid.centre_mm
    codes, (x, y, z) = template_codes(grey, white, (-right, -anterior, superior))
    labels = np.zeros(codes.shape, np.int16)
    places = np.indices(codes.shape, dtype=np.float32) - (np.array(codes.shape).reshape(3, 1, 1, 1) - 1) / 2
    up, back, left = places[0] + z, places[1] + y, places[2] + x
    for code, (of_left, of_right) in LABELS.items():
        labels[codes == code] = np.where(left[codes == code] > 0, of_left, of_right)
    third = (codes == Tissue.VENTRICLE) & (np.abs(left) < 5) & (back > -8) & (back < 30) & (np.abs(up) < 12)
    labels[third] = THIRD_VENTRICLE
    affine = np.eye(4)  # axes to left, posterior, superior: RAS mm
    affine[:3, :3] = np.diag([-1.0, -1.0, 1.0])
    affine[:3, 3] = -left.min(), -back.min(), up.min()
    folder.mkdir()
    nib.save(nib.Nifti1Image(np.ascontiguousarray(labels.transpose(2, 1, 0)), affine), folder / "head.nii.gz")


def write_slices(folder):
    """images/ and masks/ of CPAISD: four skulls of 8 bits with ventricles, two outlines of which are darker."""
    y, x = np.indices((512, 512)) - 256.0
    for number, dark in enumerate((0, 9, 0, 14)):
        noise = np.random.default_rng(number).normal(0, 2, y.shape)
        levels = np.zeros(y.shape)
        levels[(x / 170) ** 2 + (y / 205) ** 2 < 1] = 255
        brain = (x / 150) ** 2 + (y / 185) ** 2 < 1
        levels[brain] = 33
        levels[((np.abs(x) - 25) / 12) ** 2 + (y / 45) ** 2 < 1] = 8
        infarct = ((x - 85) / (20 + 8 * number)) ** 2 + (y / 60) ** 2 < 1
        levels[infarct] -= dark
        levels[brain] += noise[brain]
        mask = np.zeros((*y.shape, 3), np.uint8)
        mask[infarct] = (255, 0, 0)
        for kind, image in (("images", levels.clip(0, 255).astype(np.uint8)), ("masks", mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / kind / f"{number}.png")


def write_series(folder, ct):
    """Three series of two patients of one vendor, and the table that says so."""
    rows = [("a", "P1"), ("b", "P1"), ("c", "P2")]
    for case, _ in rows:
        (folder / case).mkdir(parents=True)
        shutil.copy(ct, folder / case / "ct.nii.gz")
    with (folder / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("case", "patient", "vendor"), *((*row, "Vendor") for row in rows)])


def write_plane_atlas(folder):
    """Regions of ASPECTS in the plane, two ages and two levels, and a template of the brain in MNI space."""
    folder.mkdir()
    template = np.zeros((91, 109, 91), np.int16)
    x, y, z = np.indices(template.shape)
    template[((x - 45) / 35) ** 2 + ((y - 54) / 44) ** 2 + ((z - 45) / 50) ** 2 < 1] = 40
    affine = np.diag([2.0, 2.0, 1.0, 1.0])
    affine[:3, 3] = -90.0, -126.0, -40.0
    nib.save(nib.Nifti1Image(template, affine), folder / "template.nii.gz")
    plane = np.indices((90, 110)) - np.array([45.0, 55.0]).reshape(2, 1, 1)
    inside = (plane[0] / 35) ** 2 + (plane[1] / 44) ** 2 < 1
    for age in ("50_69", "70_89"):
        for level, numbers in (("subcortical", range(1, 8)), ("cortical", range(8, 11))):
            labels = np.where(inside, numbers[0] + (np.abs(plane[1]) // 12) % len(numbers), 0)
            for kind, image in (("image", inside * 40), ("label", labels)):
                made = nib.Nifti1Image(image.astype(np.int16), np.eye(4))
                nib.save(made, folder / f"{level}_{kind}_{age}.nii.gz")
