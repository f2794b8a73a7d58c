"""The sample project: small, checkable, learnable in minutes (docs/experiments.md tells how well).

Pure Python without Django or torch. What callers need is exported here.
"""

from labeling.sample_project.annotators import RankingAnswer, ReviewAnswer, SimulatedAnnotator, team
from labeling.sample_project.answers import reference_answers
from labeling.sample_project.guidelines import guideline_markdown
from labeling.sample_project.pretraining import pretraining_text
from labeling.sample_project.prompts import SamplePrompt, held_out_prompts, prompts, training_prompts
from labeling.sample_project.scoreboard import Scoreboard, evaluate_models
from labeling.sample_project.scoring import Score, guideline_score

NAME = "Short, kind answers"
SLUG = "sample"

__all__ = [
    "NAME",
    "SLUG",
    "RankingAnswer",
    "ReviewAnswer",
    "SamplePrompt",
    "Score",
    "Scoreboard",
    "SimulatedAnnotator",
    "evaluate_models",
    "guideline_markdown",
    "guideline_score",
    "held_out_prompts",
    "pretraining_text",
    "prompts",
    "reference_answers",
    "team",
    "training_prompts",
]
