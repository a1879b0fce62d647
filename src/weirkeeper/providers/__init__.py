"""Programming engines: one folder for each kind. Folders never import each other."""
