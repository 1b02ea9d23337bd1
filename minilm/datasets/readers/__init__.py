"""One module a file format: each turns checked files into records, or says which record is malformed."""
