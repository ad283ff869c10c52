"""What many people write first: a pool of threads that connect. One open port a line."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

ADDRESS, FIRST, LAST = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def is_open(port):
    with socket.socket() as connection:
        connection.settimeout(1.0)
        return connection.connect_ex((ADDRESS, port)) == 0


with ThreadPoolExecutor(500) as pool:
    ports = range(FIRST, LAST + 1)
    for port, found in zip(ports, pool.map(is_open, ports)):
        if found:
            print(port)
