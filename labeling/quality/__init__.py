"""Pure maths of quality: agreement, consensus, bias meters, intervals. No Django, nothing of ours above
this package.

A person's ranking is a list of ranks, one per completion of the task and in the task's order: 1 = best,
equal = tie, None = could not be ranked. Only the order of ranks counts, not their distance.
"""

from .agreement import (
    Estimate,
    TieRule,
    kendall_tau_b,
    krippendorff_alpha,
    mean_kendall_tau_b,
    pairwise_agreement,
    ranking_alpha,
)
from .bias import Judgment, Rate, length_bias, position_bias, position_win_rates
from .ceiling import Ceiling, accuracy_ceiling, ceiling_interval
from .consensus import Consensus, schulze_consensus
from .crowd import CrowdConsensus, crowd_consensus
from .forecast import Forecast, days_to_finish
from .intervals import Interval, bootstrap_interval, wilson_interval
from .kappa import cohen_kappa, fleiss_kappa
from .kemeny import KemenyConsensus, kemeny_consensus
from .meters import (
    Pace,
    PasteShare,
    Piece,
    SelfAgreement,
    Slope,
    clustered_rate,
    expected_by_chance,
    length_slope,
    paces,
    paste_share,
    self_agreement,
)
from .plackett_luce import PlackettLuce, adherence_of, plackett_luce
from .rules import RULES, Opinion, Tally, Weighing, majority_cycles, weigh

__all__ = [
    "RULES",
    "Ceiling",
    "Consensus",
    "CrowdConsensus",
    "Estimate",
    "Forecast",
    "Interval",
    "Judgment",
    "KemenyConsensus",
    "Opinion",
    "Pace",
    "PasteShare",
    "Piece",
    "PlackettLuce",
    "Rate",
    "SelfAgreement",
    "Slope",
    "Tally",
    "TieRule",
    "Weighing",
    "accuracy_ceiling",
    "adherence_of",
    "bootstrap_interval",
    "ceiling_interval",
    "clustered_rate",
    "cohen_kappa",
    "crowd_consensus",
    "days_to_finish",
    "expected_by_chance",
    "fleiss_kappa",
    "kemeny_consensus",
    "kendall_tau_b",
    "krippendorff_alpha",
    "length_bias",
    "length_slope",
    "majority_cycles",
    "mean_kendall_tau_b",
    "paces",
    "pairwise_agreement",
    "paste_share",
    "plackett_luce",
    "position_bias",
    "position_win_rates",
    "ranking_alpha",
    "schulze_consensus",
    "self_agreement",
    "weigh",
    "wilson_interval",
]
