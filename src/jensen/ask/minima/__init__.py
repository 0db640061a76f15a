"""A census of minima: many trainings at once, what each ends at, how many different ends there are."""
