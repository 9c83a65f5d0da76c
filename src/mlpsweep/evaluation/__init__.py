"""What a trained model is worth: figures of merit, figures to look at, the report; trains nothing."""
