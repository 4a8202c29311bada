"""Graph predictors of an architecture's performance, and how they are meta-trained (MP-NAS)."""
