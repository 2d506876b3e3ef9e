"""What a portal holds and what people do there: records, how they come about, the verbs, and the right mirror of it.

`model` has the records, `seed` invents them, `acts` are the verbs, `life` uses them at random, `truth` tells what a
mirror must hold. Knows nothing of HTTP and of how methods answer.
"""
