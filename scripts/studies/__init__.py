"""What is computed on finite processes and with saved policies, beside training: one file for each study.

Beside them stand their configurations, in groups like those of `configs`.
"""

from pathlib import Path

from configs.source import add_directory


def register() -> None:
    """Let `experiment=amdp_evaluation` and its like be found."""
    add_directory(Path(__file__).parent)
