"""Costs of the literature, ready-made: each a function of its sizes that returns a :class:`jensen.Cost`.

On the command line ``gallery:student_teacher`` names one, with its usual sizes.
"""

from jensen.gallery.student_teacher import student_teacher as student_teacher

__all__ = ["student_teacher"]
