"""Where the paper and its released code differ, as the switches of recipes."""

# Section 3 of the method's specification: each thing that a row states has one switch: (paper, released).
ROWS = {
    "in-plane rotation limit": {"align.max_in_plane_deg": (60.0, 40.0)},
    "translation limit": {"align.max_shift_x": (0.5, 0.25), "align.max_shift_y": (0.5, 0.0)},
    "L_T": {"align.reconstruction": (False, True)},
    "lr of D, F": {"train.segment.learning_rate": (1e-3, 1e-4)},
    "Q": {"network.clamp_q": (False, True)},
    "L_size target": {"loss.size_target": ("infarct", "asymmetry")},
    "L_F computed": {"loss.label_space": ("input", "aligned")},
    "warm start": {"loss.warm_start_replaces_d": (False, True)},
    "tissue maps": {"loss.tissue_maps": ("precomputed", "network")},
    "mask of L_asymmetry": {"loss.symmetric_mask": ("one_minus_a", "zero_asymmetry")},
    "L_intrinsic": {"loss.intrinsic": ("absolute_mean", "positive_mean")},
    "X̃": {"network.clamp_compensated": (False, True)},
    "warm-start weight": {"loss.warm_start_dice": (False, True)},  # λ in both; of CE, or of BCE + Dice
    "infarct taken out of tissue maps": {"loss.infarct_removal": ("before_mirroring", "after_intersection")},
    "label 4 (invisible) in training": {"loss.invisible": ("excluded", "background")},
    "T: batch, length": {"train.align.batch_size": (6, 40), "train.align.plateau_band": (1e-4, None)},
    "D + F: length": {"train.segment.plateau_band": (0.01, None)},
    "outside the brain": {"network.zero_outside": (False, True)},
    "dropout in D, F": {"network.dropout": (0.0, 0.2)},
    "augmentation": {"train.augment": ("none", "released")},
}
