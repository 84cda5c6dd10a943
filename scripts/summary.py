"""The table that ends a training run."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def summary_table(result: dict[str, Any], run_dir: str, console: Console | None = None) -> None:
    """Print returns per role, the student's share of the teacher's, steps, speed and where the files are."""
    console = console or Console(highlight=False)
    table = Table(title=f"{result['algorithm']} on {result['env']}, seed {result['seed']}: {result['status']}")
    for heading in ("role", "return", "± over episodes", "reward per step", "episode length", "environment steps"):
        table.add_column(heading, justify="left" if heading == "role" else "right")
    evaluation = result["evaluation"]
    for role, numbers in evaluation.items():
        table.add_row(
            role,
            f"{numbers['return_mean']:,.1f}",
            f"{numbers['return_std']:,.1f}",
            f"{numbers['average_reward']:,.3f}",
            f"{numbers['episode_length_mean']:,.0f}",
            f"{result['role_steps'].get(role, 0):,}",
        )
    console.print(table)
    if result.get("evaluated_at", result["env_steps"]) != result["env_steps"]:
        console.print(f"returns are those of step {result['evaluated_at']:,}, the last evaluation")
    # A ratio of returns means something only where the teacher earns something.
    if {"student", "teacher"} <= set(evaluation) and evaluation["teacher"]["return_mean"] > 0.0:
        share = evaluation["student"]["return_mean"] / evaluation["teacher"]["return_mean"]
        console.print(f"student / teacher: {share:.3f}")
    minutes, seconds = divmod(round(result["wall_seconds"]), 60)
    rate = f"{result['steps_per_second']:,.0f} environment steps/s while training"
    console.print(f"{rate}; {minutes} min {seconds} s in all, compiling and evaluation included", soft_wrap=True)
    console.print(f"run directory: {run_dir}", markup=False, soft_wrap=True)
