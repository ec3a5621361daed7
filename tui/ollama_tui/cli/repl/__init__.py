"""`run MODEL` at a terminal: a conversation, line by line, with commands that begin with a slash (spec §3).

session    what is said and how it is asked for; makes the requests
commands   /set, /show, /load, /save …
usage      the words of /help
line       the prompt: keys, multi-line messages, history
terminal   the terminal while an answer comes: typed keys wait, ctrl+c stops
loop       read, do, answer, again
"""
