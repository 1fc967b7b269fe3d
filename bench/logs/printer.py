"""The job: ``python printer.py LINES USED`` prints the lines of a file, one by one, and writes down the CPU seconds
that itself has used: they are not Tieline's."""

import resource
import sys

if __name__ == "__main__":
    write = sys.stdout.buffer.write
    with open(sys.argv[1], "rb") as file:
        for line in file:
            write(line)
    sys.stdout.buffer.flush()
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open(sys.argv[2], "w") as file:
        file.write(str(used.ru_utime + used.ru_stime))
