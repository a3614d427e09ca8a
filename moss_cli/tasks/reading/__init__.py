"""What the tasks share in reading answers and in bringing together what pieces gave."""
