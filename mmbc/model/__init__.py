"""The network: a frozen trunk, a trainable tail, a tabular encoder and their fusion."""
