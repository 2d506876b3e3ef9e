"""What stands on the wire: the HTTP server, the authorization server, and replies that are to go wrong."""
