"""The walking robot Cassie: its model, its start pose, and its reflection in the sagittal plane."""
