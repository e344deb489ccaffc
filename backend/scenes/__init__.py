"""Generated pictures with exact masks, so that the shipped networks learn from no photograph at all."""
