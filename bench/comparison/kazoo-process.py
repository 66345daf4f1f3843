"""Measures kazoo's lock. Each line of stdin is `kazoo <verb> <words>`, and is answered by one line; times in milliseconds."""

import itertools
import sys
import threading
import time

import kazoo
from kazoo.client import KazooClient

host, count = sys.argv[1], int(sys.argv[2])
clients = [KazooClient(hosts=host, timeout=10) for _ in range(count)]
for client in clients:
    client.start()
names = itertools.count()


def now():
    return time.monotonic() * 1000


def lock(index, name):
    return clients[index % count].Lock('/kazoo/' + name)


def pairs(duration):
    began, done = now(), 0
    while now() - began < duration:
        held = lock(0, 'free')
        held.acquire()
        held.release()
        done += 1
    return [(now() - began) / done]


def contend(duration):
    name, end = 'contended-%d' % next(names), now() + duration
    inside, overlaps, guard, sections = 0, 0, threading.Lock(), [0] * count

    def contender(index):
        nonlocal inside, overlaps
        while True:
            held = lock(index, name)
            held.acquire()
            with guard:
                inside += 1
                overlaps += inside > 1
            time.sleep(0)  # whoever else is let in by now comes in before this one goes
            if now() < end:
                sections[index] += 1
            with guard:
                inside -= 1
            held.release()
            if now() >= end:
                return

    threads = [threading.Thread(target=contender, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [overlaps, *sections]


class Line:
    def __init__(self, waiters):
        self.name = 'line-%d' % next(names)
        self.first = lock(0, self.name)
        self.first.acquire()
        self.admitted, self.ended, self.at = threading.Event(), threading.Event(), None
        self.threads = [threading.Thread(target=self.wait, args=(index + 1,)) for index in range(waiters)]
        for thread in self.threads:
            thread.start()

    def wait(self, index):
        held = lock(index, self.name)
        held.acquire()
        if self.at is None:
            self.at = now()
        self.admitted.set()
        self.ended.wait()
        held.release()

    def hand_over(self):
        released = now()
        self.first.release()
        self.admitted.wait()
        return [self.at - released]

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


line = None
for asked in sys.stdin:
    _, verb, *words = asked.split()
    answer = ['done']
    if verb == 'version':
        answer = [kazoo.__version__]
    elif verb == 'pairs':
        answer = pairs(float(words[0]))
    elif verb == 'contend':
        answer = contend(float(words[0]))
    elif verb == 'line':
        line = Line(int(words[0]))
    elif verb == 'hand-over':
        answer = line.hand_over()
    elif verb == 'end':
        line.end()
    print('kazoo', *answer, flush=True)

for client in clients:
    client.stop()
