"""What the files are called."""

FILE = "model.pickle.pt"
INDEX = "model.pickle.json"
