"""nnU-Net's augmentation: reproducible from seed and index, labels stay labels, nothing appears outside the brain."""

import pytest
import torch

from adn.feed.samples import Sample


class Brains:
    """A ball of noise about 0.4 with a darker cube; sample i depends on i only."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        z, y, w = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in (8, 20, 16)), indexing="ij")
        brain = (z**2 + y**2 + w**2 < 0.8)[None]
        infarct = torch.zeros(1, 8, 20, 16)
        infarct[:, 3:5, 8:12, 3:6] = 1
        noise = torch.rand(1, 8, 20, 16, generator=torch.Generator().manual_seed(index))
        return Sample(brain * (0.35 + 0.1 * noise - 0.1 * infarct), infarct, brain.to(torch.uint8))


def test_a_change_depends_on_seed_and_index_and_keeps_labels_intact():
    pytest.importorskip("monai", reason="MONAI is not installed")
    from adn.feed.augment_nnunet import NnUnetAugmented

    brains = Brains()
    moved, shaded = (NnUnetAugmented(brains, 5, (5.0, 1.2, 1.2), spatial=spatial) for spatial in (True, False))
    found = [moved[i] for i in range(8)]
    assert all(torch.equal(a, b) for i in (1, 6) for a, b in zip(found[i], moved[i], strict=True))
    assert any(not torch.equal(sample.infarct, brains[i].infarct) for i, sample in enumerate(found))
    for i, sample in enumerate(found):
        assert set(sample.infarct.unique().tolist()) <= {0.0, 1.0}
        assert sample.tissue.dtype == torch.uint8
        assert 0 <= sample.brain.min() <= sample.brain.max() <= 1
        still = shaded[i]
        assert torch.equal(still.infarct, brains[i].infarct)  # intensities only
        assert not still.brain[brains[i].brain == 0].any()
    assert any(not torch.equal(shaded[i].brain, brains[i].brain) for i in range(8))
