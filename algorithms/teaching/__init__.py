"""Learn-to-Teach and distillation: students, and what teaches them."""
