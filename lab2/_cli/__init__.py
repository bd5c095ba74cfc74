"""The commands of `lab2`: each module has some of them, and `add`, which describes their arguments."""
