"""Facts and phrases that several parts of a report share."""
