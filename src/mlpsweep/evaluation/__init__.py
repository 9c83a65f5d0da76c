"""What a trained model is worth: measures and their statistics, and the folder they are written to; draws nothing."""
