"""How the portal's methods answer: one REST call, a batch of them, and every method by itself.

`methods` is the table of them all, `run` makes one call, `batch` many; the rest are the methods, by subject, and the
portal's ways of reading and printing. They ask the world, and know neither HTTP nor who serves it: of the portal
they see what `call.Site` names.
"""
