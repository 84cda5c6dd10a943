"""Finite Markov decision processes: families, exact solvers and samplers."""
