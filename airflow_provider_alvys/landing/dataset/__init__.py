"""The files of a data set: store, layout, manifest, cursor and pace file."""
