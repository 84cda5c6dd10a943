"""Cassie: the robot, its terrains and the task."""
