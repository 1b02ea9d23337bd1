"""The tuning methods, one a file; `minilm.tuning.METHODS` lists them."""
