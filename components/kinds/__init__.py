"""What differs by kind of task: a module per kind, behind one Protocol, in one table."""
