"""Teams: who is in one, what each member may do, and what happened in it."""
