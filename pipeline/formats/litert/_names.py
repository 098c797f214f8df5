"""What the file and its endpoint are called."""

FILE = "model.tflite"
ENDPOINT = "serve"
