"""How far the workstation reaches: bytes, times and processor shares, at a terminal of 160x45 against a real server."""
