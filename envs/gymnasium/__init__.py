"""The tasks as Gymnasium environments: importing this package registers `l2t/HalfCheetah-v5` and the others."""

from envs.gymnasium.registration import register_all

register_all()
