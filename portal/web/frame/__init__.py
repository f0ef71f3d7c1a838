"""What is around every page: how one is entered and served (pages), who may open which and the navigation (shell), banner, theme.

And what forms of all rooms share: a refusal beside its field (forms), a second sending that does nothing (once).
"""
