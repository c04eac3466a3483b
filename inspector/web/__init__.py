"""People's pages: what the line shows enters by the bus, HTML and a WebSocket leave."""
