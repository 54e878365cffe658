"""Critical-difference diagram: mean ranks of methods, with a bar over each group that does not differ beyond chance."""
