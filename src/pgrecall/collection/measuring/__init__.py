"""What searches find and take on these very rows: recall, latency, and the knobs that trade one for the other."""
