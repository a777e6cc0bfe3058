"""Detects the two trivial solutions of L_D from a row of the log (docs/method.md, section 2)."""

from __future__ import annotations

from collections.abc import Mapping

LOST_SHARE = 0.1  # P below this share of L_size's target cannot show the infarct
COPY_SHARE, COPY_CORRELATION = 0.9, 0.95  # P this close to A, in amount and in pattern, leaves nothing for Q


def collapse_warning(row: Mapping[str, float]) -> str | None:
    """A sentence if P has collapsed to 0 or to A; None if it has not, or the row has no values for P.

    row: means of an epoch, with `mean_p`, `target_p` (the mean P that L_size aims for), `p_over_a` = mean P / mean A
    and `p_a_correlation`.
    """
    if "mean_p" not in row:
        return None
    target = row["target_p"]
    if target > 0 and row["mean_p"] < LOST_SHARE * target:
        return (
            f"P has collapsed to 0: its mean is {row['mean_p'] / target:.1%} of its target, so F cannot see the "
            "infarct. Lengthen the warm start (loss.warm_start_epochs) or lower the learning rate."
        )
    if abs(row["p_over_a"] - 1) < 1 - COPY_SHARE and row["p_a_correlation"] > COPY_CORRELATION:
        return (
            f"P has collapsed to A: mean P is {row['p_over_a']:.0%} of mean A with a correlation of "
            f"{row['p_a_correlation']:.2f}, so nothing counts as normal asymmetry. Lengthen the warm start "
            "(loss.warm_start_epochs) or raise loss.weight_d."
        )
    return None
