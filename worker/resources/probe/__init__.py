"""How a portal behaves: what is asked to find out, and what the answers show. Pure; docs/capabilities.md lists it all.

Most of what is known of the portal rests on one page, or on its code alone. So before it is relied on it is tried, with
calls that only read, against the portal's own records. Where there is nothing to look at the answer is UNKNOWN.
"""
