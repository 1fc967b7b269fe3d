"""The job of the latency row: ``python talker.py SECONDS LINES`` talks for a while, so that intervals have adapted, and
then prints lines at irregular moments, each with the time at which it was printed."""

import random
import sys
import time

if __name__ == "__main__":
    chance = random.Random("talk")
    until = time.time() + float(sys.argv[1])
    while time.time() < until:
        print("warming up", flush=True)
        time.sleep(0.3)
    for number in range(int(sys.argv[2])):
        print(f"at {number} {time.time():.6f}", flush=True)
        time.sleep(chance.choice((0.0, chance.uniform(0, 0.1), chance.uniform(0, 1))))
