"""The evaluation of a trained model: measures, their statistics, and the folder that holds them."""
