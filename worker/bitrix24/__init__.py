"""The portal side: HTTP, no SQL. What a portal is asked, and what its answers mean."""
