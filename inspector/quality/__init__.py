"""The store's history goes in, what it says of the line's quality comes out."""
