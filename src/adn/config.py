"""The schema of a recipe: every setting in one place. `adn.recipes` reads recipes from its TOML files."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from adn.config_draws import LooksConfig, PatientsConfig, PosesConfig, Section
from adn.config_mix import MixConfig

Backbone = Literal["resunet", "anisotropic", "slicewise"]
OfX = Literal["aligned", "mirrored", "relative", "mirrored_relative", "contrast", "broad_contrast", "brain"]
OfP = Literal["salient", "salient_relative", "pathological"]
Polarity = Literal["dark", "bright"]
Method = Literal["adn", "resunet", "unet", "deepmedic", "clerigues", "sean", "nnunet", "asymfex"]


class GridConfig(Section):
    """The model grid; array order D (to superior), H (to posterior), W (to patient left)."""

    spacing_mm: tuple[float, float, float] = (5.0, 1.2, 1.2)  # paper, section 3
    shape: tuple[int, int, int] = (40, 256, 256)  # paper, section 3
    box: tuple[int, int, int] | None = (32, 176, 144)  # brain box after alignment; None: the whole grid
    window_hu: tuple[float, float] = (0.0, 80.0)  # mapped to [0, 1]


class AlignConfig(Section):
    """Network T and its loss L_T."""

    apply: bool = True  # False: networks get the unaligned head (rows of Table 1 without alignment)
    channels: tuple[int, ...] = (32, 64, 128, 256)  # docs/method.md, section 4
    shrink: int = Field(default=2, ge=1)  # T sees a copy that is coarser in plane by this factor
    coordinates: bool = True  # T also gets the brain times its coordinates and their products
    max_in_plane_deg: float = 60.0  # paper, section 3
    max_roll_deg: float = 15.0  # 0 in the paper
    max_shift_x: float = 0.5  # fraction of the grid's width; paper: half the image
    max_shift_y: float = 0.0  # fraction of the grid's height; L_T does not depend on it, so it is fixed
    zero_start: bool = True  # T's last layer starts at 0, so that an untrained T is the identity
    per_brain: bool = True  # divide L_T by the brain's mean, so that it does not depend on head size
    reconstruction: bool = False  # add ‖I − T⁻¹(X′)‖₁ to L_T
    pooling: Literal["mean", "place"] = "mean"  # of features before the last layer; place: keep their positions
    plane_weight: float = 0.0  # loss per mm of error of the plane, if known (virtual patients); paper: none
    refine_steps: int = 40  # steps on L_T / brain volume at inference; 0: none


class NetworkConfig(Section):
    """Networks D and F, and the asymmetry between them."""

    d_backbone: Backbone = "resunet"  # network type of D
    f_backbone: Backbone = "resunet"  # network type of F
    channels: tuple[int, ...] = (32, 64, 128, 256)  # channels of each level, finest first
    dropout: float = Field(default=0.0, ge=0, lt=1)  # share of values dropped after every level
    polarity: Polarity = "dark"  # A = max(X′ − X, 0); for bright lesions max(X − X′, 0)
    p_form: Literal["probability", "fraction"] = "fraction"  # P = σ(D) or A · σ(D)
    clamp_q: bool = False  # Q = max(A − P, 0)
    clamp_compensated: bool = False  # X̃ = min(X + P, max(X, X′))
    zero_outside: bool = True  # O = 0 outside the brain
    # input channels of D; in the paper D gets only X and F only X̂; contrasts: `asymmetry.mirror_contrast`; relative:
    # HU relative to the brain's median (`asymmetry.relative_hu`); brain: 1 inside it
    d_inputs: tuple[OfX, ...] = ("aligned",)
    f_inputs: tuple[OfX | OfP, ...] = ("salient",)  # input channels of F
    fluid_edge_hu: float = Field(default=0.0, ge=0)  # contrasts fade out towards fluid over this many HU; 0: at once
    neighbours: int = Field(default=0, ge=0)  # slices above and below whose inputs from X D and F also get
    supervised_levels: int = Field(default=1, ge=1)  # levels of both decoders, finest first; paper: only the finest
    d_attention: int = Field(default=0, ge=0)  # number of D's deepest levels that attend to the mirror side; paper: 0
    mirror_average: bool = False  # predict X and X′ and average; ADN only


class LossConfig(Section):
    """L_DF = L_F + λ L_D (eq. 5, 6) and the warm start."""

    weight_d: float = 10.0  # λ
    tissue: bool = True  # False: the ablation without L_tissue
    size_target: Literal["infarct", "asymmetry"] = "asymmetry"  # target of L_size: mean(T(G)) or mean(A · T(G))
    symmetric_mask: Literal["zero_asymmetry", "one_minus_a"] = (
        "zero_asymmetry"  # where P should be 0 (paper: where A is)
    )
    intrinsic: Literal["absolute_mean", "positive_mean"] = "absolute_mean"  # −|mean(A − P)| or −mean(max(A − P, 0))
    tissue_maps: Literal["precomputed", "network"] = "precomputed"  # from the case, or computed from the aligned volume
    infarct_removal: Literal["before_mirroring", "after_intersection"] = "before_mirroring"  # from tissue maps
    invisible: Literal["excluded", "background"] = "excluded"  # infarct seen only in other images (AISD's label 4)
    warm_start_weight: float = 10.0  # equal to λ, which is our reading of the paper
    warm_start_epochs: int = 2  # number of epochs in which σ(D) is supervised by the infarct
    gate_weight: float = Field(default=0.0, ge=0)  # weight of the supervision of σ(D) after the warm start
    warm_start_dice: bool = False  # supervise σ(D) by BCE + Dice rather than BCE alone
    warm_start_replaces_d: bool = False  # the warm start replaces L_D rather than being added to it
    label_space: Literal["input", "aligned"] = "aligned"  # where L_F is computed
    # what cross-entropy, also that of σ(D), is averaged over: the model grid, as in the paper, or the brain, so that
    # marks in scans without infarct, which generalised Dice ignores, are penalised
    cross_entropy_over: Literal["grid", "brain"] = "grid"
    # bce_batch_dice: cross-entropy + Dice pooled over the batch; bce, bce_dice: for baselines
    l_f: Literal["bce_generalised_dice", "bce_batch_dice", "bce", "bce_dice"] = "bce_generalised_dice"
    bce_weight: float = Field(default=1.0, ge=0)  # of cross-entropy relative to Dice, in L_F and for σ(D)
    dice_smooth: float = Field(default=0.0, ge=0)  # voxels added to numerator and denominator in bce_batch_dice


class TissueConfig(Section):
    """The tissue network and its grid: the scan's own slices, square pixels."""

    channels: tuple[int, ...] = (24, 48, 96, 128)  # finest level first
    windows_hu: tuple[tuple[float, float], ...] = ((-10.0, 90.0), (-200.0, 1200.0))  # brain; fat to bone
    pixel_mm: float = 1.0  # the cortex is 2 to 3 mm thick
    slice_mm: float = 3.0  # thinner slices are averaged to about this thickness


class FitConfig(Section):
    """One stage of training."""

    learning_rate: float  # of AdamW, at the start
    batch_size: int = Field(default=6, ge=1)  # samples per step, over all processes
    accumulation: int = Field(default=1, ge=1)  # a batch is computed in this many parts, to save memory
    epoch_samples: int = 1000  # samples drawn for one epoch
    max_epochs: int = 100  # the stage ends after these at the latest
    weight_decay: float = 5e-4  # of AdamW
    poly_power: float = 0.9  # the learning rate falls as (1 - share of all steps done) to this power
    warmup_steps: int = 0  # steps over which the learning rate rises from 0
    clip_norm: float = Field(default=5.0, ge=0)  # largest gradient norm; 0: no clipping
    # validate and keep the mean of the weights over about this many last steps (exponential); 0: the weights themselves
    average_steps: int = Field(default=0, ge=0)
    curriculum: bool = False  # for segment, on virtual patients: easy ones first
    plateau_band: float | None = None  # stop if training Dice (for T: the loss) stays within this band for 2 epochs
    # the stage ends after this time; the learning rate then follows the time if it runs ahead of the steps. Such runs
    # end in time on a busy machine, but are not bit-reproducible. None: steps alone count
    seconds: float | None = Field(default=None, gt=0)


class PatchConfig(Section):
    """Training on pieces of the box, for baselines without alignment."""

    size: tuple[int, int, int] | None = None  # D, H, W of the scored part; None: by `share`
    share: float | None = Field(default=None, gt=0, le=1)  # size as a fraction of the box's sides; None: the whole box
    per_sample: int = Field(default=1, ge=1)  # pieces from each scan
    infarct_share: float = Field(default=1 / 3, ge=0, le=1)  # share of pieces centred on infarct, if there is any

    @property
    def used(self) -> bool:
        """Whether training is on pieces."""
        return self.size is not None or self.share is not None


class TrainConfig(Section):
    """The stages of training and what they share."""

    align: FitConfig = FitConfig(learning_rate=1e-5)
    segment: FitConfig = FitConfig(learning_rate=1e-3)
    # the network of loss.tissue_maps; the released checkpoint reveals batch 10 and 3,500 steps, but no learning rate
    tissue_maps: FitConfig = FitConfig(learning_rate=1e-4, batch_size=10, max_epochs=35)
    tissue: FitConfig = FitConfig(learning_rate=1e-3)
    stages: tuple[Literal["align", "segment", "tissue"], ...] = ("align", "segment")  # in this order
    seed: int = 0  # of weights, order and all random draws
    validation_samples: int = 16  # virtual patients to validate on
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto: bf16 if the device is fast at it
    # released: gamma 1 ± 0.25, left-right flip, in-plane rotation ± 10° (`feed.augment`); nnunet, or intensity for only
    # its intensity changes (`feed.augment_nnunet`): for baselines
    augment: Literal["none", "released", "nnunet", "intensity"] = "none"
    patches: PatchConfig = PatchConfig()
    # number of slices of each sample from which D and F learn, half of them with infarct if there is any; asymmetry and
    # contrasts still use the whole box. For slicewise D and F. None: all slices
    slices: int | None = Field(default=None, ge=1)
    # number of virtual patients that are rendered once and then reused with new infarcts and noise (`feed.pool`);
    # None: each is used once. For aligned recipes
    pool: int | None = Field(default=None, ge=1)
    patients: PatientsConfig = PatientsConfig()
    poses: PosesConfig = PosesConfig()
    looks: LooksConfig = LooksConfig()
    mix: MixConfig = MixConfig()  # several sources in one training


class PartsConfig(Section):
    """Which connected parts of a mark are kept: those for which the sum of coefficients × evidence is 0 or more
    (`findings.parts.Evidence`)."""

    intercept: float  # added to the sum, logit
    mean: float  # times the mean probability
    peak: float  # times the 99th percentile of the probability
    size: float  # times ln(mL)
    fluid: float  # times the share of fluid
    level: float  # times HU minus the median of the brain
    twin_level: float  # times the same for the mirror twin
    rough: float  # times σ of its blocks, HU


class CalibrationConfig(Section):
    """Calibration of probabilities and volumes, fitted on validation patients (docs/training.md)."""

    logit_scale: float = Field(default=1.0, gt=0)  # the probability is σ(scale · logit + shift)
    logit_shift: float = 0.0  # see logit_scale
    # errors in √mL: volume_interval(mL, errors) contains 80 % of true volumes; None: not known
    volume_errors: tuple[float, float] | None = None
    parts: PartsConfig | None = None  # None: every part that is large enough is kept


class Recipe(Section):
    """One way to build, train and run the networks."""

    name: str  # as listed by `adn info`
    summary: str = ""  # its purpose, in one line
    method: Method = "adn"  # the segmentation method: ADN, or a competitor from `nn.baselines`
    threshold: float = Field(default=0.5, gt=0, lt=1)  # on the probability, after resampling to the scan
    smallest_ml: float = Field(default=0.0, ge=0)  # connected parts of the mask below this are removed; paper: none
    calibration: CalibrationConfig = CalibrationConfig()
    grid: GridConfig = GridConfig()
    align: AlignConfig = AlignConfig()
    network: NetworkConfig = NetworkConfig()
    loss: LossConfig = LossConfig()
    tissue: TissueConfig = TissueConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _settings_fit(self) -> Recipe:
        if any(fit.curriculum for fit in (self.train.align, self.train.tissue, self.train.tissue_maps)):
            raise ValueError("curriculum orders the patients of train.segment; other stages have no patients to order")
        if self.train.patches.used and (self.align.apply or self.method == "adn"):
            raise ValueError("train.patches is for baselines with align.apply = false, since T needs the whole head")
        if self.method == "adn" and (self.loss.l_f in ("bce", "bce_dice") or not self.align.apply):
            raise ValueError(
                'method "adn" needs align.apply = true and loss.l_f = "bce_generalised_dice" or "bce_batch_dice"'
            )
        slicewise = self.method == "adn" and {self.network.d_backbone, self.network.f_backbone} == {"slicewise"}
        if self.train.slices and not (slicewise and self.loss.label_space == "aligned"):
            raise ValueError('train.slices needs slicewise D and F, method "adn" and loss.label_space = "aligned"')
        if self.train.pool and self.network.polarity == "bright":
            raise ValueError('train.pool adds infarcts only, so it is not for network.polarity = "bright"')
        if self.train.mix.used and self.loss.label_space != "aligned":
            raise ValueError('train.mix gives aligned samples: it needs loss.label_space = "aligned"')
        if self.train.mix.used and not self.align.apply and self.train.mix.box is None:
            raise ValueError("train.mix with align.apply = false needs train.mix.box, where its samples are made")
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> Recipe:
        sides = self.grid.box or self.grid.shape
        for key in ("d_backbone", "f_backbone"):
            _backbone_fits(key, self.network, self.grid.spacing_mm, sides)
        if self.grid.box and any(b > s for b, s in zip(self.grid.box, self.grid.shape, strict=True)):
            raise ValueError(f"grid.box {self.grid.box} is larger than grid.shape {self.grid.shape}")
        if self.grid.box and any((s - b) % 2 for b, s in zip(self.grid.box, self.grid.shape, strict=True)):
            raise ValueError(
                f"grid.box {self.grid.box} cannot lie in the middle of grid.shape {self.grid.shape}, so the mid-plane "
                "would be half a voxel off; make both odd or both even"
            )
        if any(side % self.align.shrink for side in self.grid.shape[1:]):
            raise ValueError(
                f"align.shrink {self.align.shrink} does not divide the in-plane sides of grid.shape {self.grid.shape}, "
                "so T's coarse copy would be off centre"
            )
        return self


class EnsembleMember(Section):
    """One set of weights in an ensemble."""

    weights: str  # a name, or a path from the ensemble's folder: a .safetensors file or a run folder
    share: float = Field(default=1.0, gt=0)  # weight in the mean of logits, relative to the other members


class EnsembleConfig(Section):
    """Weights whose logits are averaged (`nn.ensemble`). All other settings are those of the first member's recipe."""

    summary: str = ""
    threshold: float | None = Field(default=None, gt=0, lt=1)  # as in a recipe; None: the members', if they agree
    smallest_ml: float | None = Field(default=None, ge=0)  # as in a recipe; None: see threshold
    calibration: CalibrationConfig = CalibrationConfig()
    members: tuple[EnsembleMember, ...] = Field(min_length=2)


def flat_levels(channels: tuple[int, ...], spacing_mm: tuple[float, float, float]) -> int:
    """How often the anisotropic backbone halves in plane only, until voxels are about as wide as slices are thick."""
    return min(max(round(math.log2(spacing_mm[0] / spacing_mm[1])), 0), len(channels) - 1)


def side_factors(
    backbone: Backbone, channels: tuple[int, ...], spacing_mm: tuple[float, float, float]
) -> tuple[int, int, int]:
    """What a backbone's input sides D, H, W must be divisible by."""
    halvings = len(channels) - 1
    flat = flat_levels(channels, spacing_mm) if backbone == "anisotropic" else 0
    in_depth = 0 if backbone == "slicewise" else halvings - flat
    return 2**in_depth, 2**halvings, 2**halvings


def _backbone_fits(
    key: str, network: NetworkConfig, spacing_mm: tuple[float, float, float], sides: tuple[int, int, int]
) -> None:
    """Raise ValueError if a backbone cannot have these channels, this input or these extensions."""
    backbone: Backbone = getattr(network, key)
    channels = network.channels
    asked = {"supervised_levels": network.supervised_levels - 1}
    asked |= {"d_attention": network.d_attention} if key == "d_backbone" else {}
    for name, levels in asked.items():
        if levels and backbone not in ("resunet", "anisotropic"):
            raise ValueError(f"network.{name} is for resunet and anisotropic, but network.{key} is {backbone}")
        if getattr(network, name) > len(channels):
            raise ValueError(f"network.{name} is {getattr(network, name)}, but there are {len(channels)} levels")
    if any(n % 8 for n in channels):
        raise ValueError(f"network.channels {channels} must be multiples of 8 (eight groups)")
    factors = side_factors(backbone, channels, spacing_mm)
    if any(side % factor for side, factor in zip(sides, factors, strict=True)):
        needed = str(factors[0]) if len(set(factors)) == 1 else f"{factors} (D, H, W)"
        raise ValueError(
            f"network.{key} {backbone} of {len(channels)} levels needs sides divisible by {needed}, "
            f"but they are {sides}; change grid.box or grid.shape"
        )
