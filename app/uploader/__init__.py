"""The uploader: a command that sends large files and resumes after an interruption."""
