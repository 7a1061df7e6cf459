"""Whether the event types of today still read what was stored yesterday: `diptych check`.

`shape` describes what a type looks like in the log, `schema` keeps the shapes of all stored names
in a file of the repository, `compare` finds what broke since, `logged` what is in a log, and
`samples` makes stored events of any shape.
"""
