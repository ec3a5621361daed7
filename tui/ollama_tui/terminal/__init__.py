"""What the workstation knows of the terminal it stands in: the line to it, its colours, its clipboard, its end."""
