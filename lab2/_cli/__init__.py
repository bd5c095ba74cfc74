"""The commands of `lab2`: each module has some of them, and `add_commands`, which describes their arguments."""
