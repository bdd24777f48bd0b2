"""What a task lands: sync spec, checkpoint, sync, batches, initial load, parents, documents."""
