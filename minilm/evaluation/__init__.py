"""How good a model is: perplexity, baselines, controlled generation, learned shifts compared with exact ones."""
