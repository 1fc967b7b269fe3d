"""The cache of inputs: files that were fetched from buckets before, kept on this machine by their contents."""
