"""Meta-SGD (Li, Zhou, Chen, Li 2017): learning to adapt in one gradient step.

Importing this package costs nothing: `configuration` and `errors` are plain Python, the
other modules import torch.
"""
