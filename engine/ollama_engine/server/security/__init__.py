"""Who may ask the server for what: addresses and Host (`host_rule`), web pages (`cors`), keys (`authentication`,
`permissions`), and how much they may send (`limits`, `connections`)."""
