"""How good a model is: perplexity, baselines, controlled text, shifts beside the exact ones."""
