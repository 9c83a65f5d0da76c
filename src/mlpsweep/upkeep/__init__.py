"""What is missing, orphaned, stale, moved or damaged in a project's folders, study and store, and what mends it."""
