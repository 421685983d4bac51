"""The interpretations of a program: recorded, pushed forward, batched."""
