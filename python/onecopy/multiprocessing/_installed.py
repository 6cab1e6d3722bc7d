"""What processes that were started by a program with the Manager installed import before all else."""

from onecopy.multiprocessing import install

install()
