"""What the files are called, and what lies in the archive by name."""

FILE = "model.pt2"
OPTIMIZER = "optimizer.pt"
MODEL, TRAIN, LOSS = "model", "train", "loss"
"""Programs: the prediction, a training step's loss, and the loss of predictions alone."""
SIGNATURE = "signature.json"
