"""What the embedded model hears, one file a task: what is drawn, how it sounds, which labels are true of it."""
