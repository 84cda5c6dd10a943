"""Where the numbers of a run go: the console, `metrics.jsonl`, Weights & Biases."""
