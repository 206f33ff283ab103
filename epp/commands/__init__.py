"""What the command line does, a module per command. They parse flags, run edges, and print for people or for pipes."""
