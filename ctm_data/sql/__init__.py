"""SQL over runs: the connection and its views, the classes of words, the formats of answers."""
