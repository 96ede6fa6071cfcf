"""The plan of a data set: facts, rules, a trial on the real data, and what is written about them."""
