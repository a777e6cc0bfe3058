"""Worker processes, signals, exit codes and progress."""
