"""Objects in: what a feed offers to the front door, and the feed of manifest files."""
