"""Speed, memory and compile time, as ratios against a baseline measured in the same run."""
