"""The two errors of files: one for what could not be written, one for what cannot be read."""


class SaveError(OSError):
    """Saving failed or was refused; what was there before is untouched."""


class CheckpointError(ValueError):
    """A file is damaged, of another program, of a newer version, or made for another model."""
